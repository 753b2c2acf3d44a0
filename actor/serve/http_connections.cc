#include "actor/serve/http_connections.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace reckon {
namespace {

constexpr int kStepMs = 100;
// What a client has for its first request, while others wait.
constexpr time_t kFirstSteps = 10;
constexpr int kBacklog = 1024;  // connections that are not yet accepted
// How long a connection that is ended is still read.
constexpr absl::Duration kLinger = absl::Seconds(2);

// Whether the socket is ready within the time.
bool Ready(socket_t socket, short events, int milliseconds) {
  pollfd waited = {.fd = socket, .events = events, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&waited, 1, milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// One connection, read in blocks. It waits in steps, so that a client holds the end of the server
// up by no more than one.
class Connection : public httplib::Stream {
 public:
  // `listening`: the server's socket, INVALID_SOCKET once it ends.
  Connection(socket_t socket, const std::atomic<socket_t>& listening, absl::Duration read_pause,
             absl::Duration write_pause)
      : socket_(socket),
        listening_(listening),
        read_pause_(read_pause),
        write_pause_(write_pause) {}

  // What is read from now on has this time.
  void StartReading(absl::Duration time) { read_until_ = absl::Now() + time; }
  bool is_readable() const override {
    return at_ < size_ || Await(POLLIN, std::min(read_until_, absl::Now() + read_pause_));
  }
  bool is_writable() const override { return Await(POLLOUT, absl::Now() + write_pause_); }
  ssize_t read(char* out, size_t size) override {
    if (at_ == size_) {
      if (!is_readable()) return -1;
      const ssize_t got = ::recv(socket_, buffer_, sizeof(buffer_), 0);
      if (got <= 0) return got;
      at_ = 0;
      size_ = static_cast<size_t>(got);
    }
    const size_t count = std::min(size, size_ - at_);
    std::copy_n(buffer_ + at_, count, out);
    at_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* bytes, size_t size) override {
    size_t sent = 0;
    while (sent < size) {
      if (!is_writable()) return -1;  // a client that does not read
      const ssize_t more = ::send(socket_, bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (more < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return -1;
      sent += more > 0 ? static_cast<size_t>(more) : 0;
    }
    return static_cast<ssize_t>(size);
  }
  // Reads on for a moment. To close a socket with unread bytes resets the connection, and a client
  // that is still sending would lose its reply.
  void Linger() {
    ::shutdown(socket_, SHUT_WR);
    StartReading(kLinger);
    char dropped[4096];
    while (read(dropped, sizeof(dropped)) > 0) {
    }
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {}
  void get_local_ip_and_port(std::string& ip, int& port) const override {}
  socket_t socket() const override { return socket_; }
  // Whether a further request has begun, before one is waited for.
  bool has_more() const { return at_ < size_; }
  // `is_read`: nothing of the request is left.
  void EndAfterReply(bool is_read) {
    ended_ = true;
    lingers_ = !is_read;
  }
  bool ended() const { return ended_; }
  bool lingers() const { return lingers_; }
  // Whether the reply of this request is one that the server's end waits for.
  bool replying = false;

 private:
  bool Await(short events, absl::Time end) const {
    while (listening_ != INVALID_SOCKET && absl::Now() < end) {
      if (Ready(socket_, events, kStepMs)) return true;
    }
    return false;
  }

  const socket_t socket_;
  const std::atomic<socket_t>& listening_;
  const absl::Duration read_pause_, write_pause_;
  absl::Time read_until_ = absl::InfiniteFuture();
  char buffer_[4096];
  size_t at_ = 0, size_ = 0;
  bool ended_ = false, lingers_ = false;
};

// That of the request that this thread handles; null: none.
thread_local Connection* this_threads_connection = nullptr;

// Whether a request with this reply was read to its end. The library reads the body of a POST
// alone, and not if it refuses the request before. What it did not read is no request, though it
// may look like one.
bool IsRead(const httplib::Request& request, const httplib::Response& reply) {
  const bool may_have_body =
      request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
  return reply.status < 400 && (request.method == "POST" || !may_have_body);
}

}  // namespace

HttpConnections::HttpConnections(size_t threads, absl::Duration read_time) : read_time_(read_time) {
  new_task_queue = [this, threads] { return threads_ = new ConnectionThreads(threads); };
  // Here it is decided whether a connection ends after a reply, beside the client's own wish and
  // the count of its requests.
  set_post_routing_handler([this](const httplib::Request& request, httplib::Response& reply) {
    const bool is_read = IsRead(request, reply);
    if (is_read && !threads_->HasWaiting()) return;
    this_threads_connection->EndAfterReply(is_read);
    reply.headers.erase("Keep-Alive");
    reply.headers.erase("Connection");
    reply.set_header("Connection", "close");
  });
}

int HttpConnections::Bind(const std::string& host, int port) {
  if (port == 0) {
    port = std::max(0, bind_to_any_port(host));
  } else if (!bind_to_port(host, port)) {
    port = 0;
  }
  // The library's own 5 are fewer than come at once. A second listen changes the number.
  if (port > 0 && ::listen(svr_sock_, kBacklog) != 0) return 0;
  return port;
}

bool HttpConnections::ClientHasGone() {
  if (this_threads_connection == nullptr) return false;
  char byte = 0;
  const ssize_t got = ::recv(this_threads_connection->socket(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void HttpConnections::BeginReply() {
  absl::MutexLock lock(&mu_);
  if (ending_) return;
  this_threads_connection->replying = true;
  ++replies_;
}

void HttpConnections::End(absl::Duration last_write) {
  {
    absl::MutexLock lock(&mu_);
    ending_ = true;
    const auto written = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return replies_ == 0; };
    mu_.AwaitWithTimeout(absl::Condition(&written), last_write);
  }
  stop();
}

bool HttpConnections::process_and_close_socket(socket_t socket) {
  Connection connection(
      socket, svr_sock_, absl::Seconds(read_timeout_sec_) + absl::Microseconds(read_timeout_usec_),
      absl::Seconds(write_timeout_sec_) + absl::Microseconds(write_timeout_usec_));
  this_threads_connection = &connection;
  bool handled = false;
  for (size_t left = keep_alive_max_count_; left > 0 && svr_sock_ != INVALID_SOCKET; --left) {
    // In steps, so that a connection nobody uses holds up neither others nor the server's end.
    bool begun = connection.has_more();
    const time_t least_steps = left == keep_alive_max_count_ ? kFirstSteps : 0;
    for (time_t step = 0; !begun && step < keep_alive_timeout_sec_ * 1000 / kStepMs; ++step) {
      if (svr_sock_ == INVALID_SOCKET) break;
      if (step > least_steps && threads_->HasWaiting()) break;
      begun = Ready(socket, POLLIN, kStepMs);
    }
    if (!begun) break;
    connection.StartReading(read_time_);
    bool closed = false;
    handled = process_request(connection, /*close_connection=*/left == 1, closed, nullptr);
    if (std::exchange(connection.replying, false)) {
      absl::MutexLock lock(&mu_);
      --replies_;
    }
    if (!handled || closed || connection.ended()) break;
  }
  this_threads_connection = nullptr;
  if (handled && connection.lingers()) connection.Linger();
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
  return handled;
}

ConnectionThreads::ConnectionThreads(size_t threads) : max_waiting_(threads) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

void ConnectionThreads::enqueue(std::function<void()> connection) {
  absl::MutexLock lock(&mu_);
  const auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return waiting_.size() < max_waiting_;
  };
  mu_.Await(absl::Condition(&has_room));
  waiting_.push_back(std::move(connection));
}

bool ConnectionThreads::HasWaiting() {
  absl::MutexLock lock(&mu_);
  return !waiting_.empty();
}

void ConnectionThreads::shutdown() {
  {
    absl::MutexLock lock(&mu_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void ConnectionThreads::Work() {
  while (true) {
    std::function<void()> connection;
    {
      absl::MutexLock lock(&mu_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return ending_ || !waiting_.empty();
      };
      mu_.Await(absl::Condition(&has_work));
      if (waiting_.empty()) return;
      connection = std::move(waiting_.front());
      waiting_.pop_front();
    }
    connection();
  }
}

}  // namespace reckon
