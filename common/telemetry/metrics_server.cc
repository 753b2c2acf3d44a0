#include "common/telemetry/metrics_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

std::string Answer(absl::string_view status, absl::string_view headers, absl::string_view body) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\n", headers, "Content-Length: ", body.size(),
                      "\r\nConnection: close\r\n\r\n", body);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

struct MetricsServer::Connection {
  Connection(int socket, absl::Time until) : fd(socket), deadline(until) {}
  ~Connection() { ::close(fd); }
  Connection(const Connection&) = delete;

  const int fd;
  const absl::Time deadline;
  std::string request;
  std::string answer;  // empty: the request is being read
  size_t sent = 0;     // of `answer`
  bool ready = false;  // for reading or writing
};

std::string MetricsServer::AnswerTo(const std::string& head) const {
  const std::vector<absl::string_view> words =
      absl::StrSplit(absl::string_view(head).substr(0, head.find("\r\n")), ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) {
    return Answer("400 Bad Request", "", "");
  }
  if (words[1] != "/metrics") return Answer("404 Not Found", "", "");
  if (words[0] != "GET") return Answer("405 Method Not Allowed", "Allow: GET\r\n", "");
  return Answer("200 OK", "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
                registry_.Text());
}

bool MetricsServer::Advance(Connection* connection) const {
  Connection& c = *connection;
  if (c.answer.empty()) {
    char buffer[kMaxRequestBytes];
    const ssize_t n = ::recv(c.fd, buffer, sizeof(buffer), 0);
    if (n == 0) return false;
    if (n < 0) return WouldBlock();
    c.request.append(buffer, n);
    if (c.request.size() > kMaxRequestBytes) {
      c.answer = Answer("431 Request Header Fields Too Large", "", "");
    } else if (absl::StrContains(c.request, "\r\n\r\n")) {
      c.answer = AnswerTo(c.request);
    } else {
      return true;
    }
  }
  const ssize_t n = ::send(c.fd, c.answer.data() + c.sent, c.answer.size() - c.sent, MSG_NOSIGNAL);
  if (n < 0) return WouldBlock();
  c.sent += n;
  return c.sent < c.answer.size();
}

void MetricsServer::Serve() {
  std::list<Connection> connections;
  while (true) {
    std::vector<pollfd> polled = {{.fd = stop_, .events = POLLIN}};
    // A full house leaves newcomers in the kernel's queue; a negative descriptor is skipped.
    const bool full = connections.size() >= kMaxConnections;
    polled.push_back({.fd = full ? -1 : listener_, .events = POLLIN});
    absl::Time wake = absl::InfiniteFuture();
    for (const Connection& c : connections) {
      polled.push_back({.fd = c.fd, .events = short(c.answer.empty() ? POLLIN : POLLOUT)});
      wake = std::min(wake, c.deadline);
    }
    const absl::Duration wait = std::max(wake - absl::Now(), absl::ZeroDuration());
    const bool forever = connections.empty();
    ::poll(polled.data(), polled.size(), forever ? -1 : int(absl::ToInt64Milliseconds(wait)) + 1);
    if (polled[0].revents != 0) return;

    size_t i = 2;
    for (Connection& c : connections) c.ready = polled[i++].revents != 0;
    const absl::Time now = absl::Now();
    connections.remove_if(
        [&](Connection& c) { return now >= c.deadline || (c.ready && !Advance(&c)); });
    if (polled[1].revents != 0) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) connections.emplace_back(fd, now + patience_);
    }
  }
}

absl::Status MetricsServer::Listen(const std::string& listen) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  // As gRPC does for the other ports: all addresses are those of IPv4 where there is no IPv6.
  std::string host = address.host;
  if (host == "::") {
    const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) host = "0.0.0.0";
    if (probe >= 0) ::close(probe);
  }
  addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int error =
          ::getaddrinfo(host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
      error != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, ": ", ::gai_strerror(error)));
  }
  const absl::Cleanup free = [found] { ::freeaddrinfo(found); };
  const auto fail = [&listen] {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot listen on ", listen));
  };
  listener_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener_ < 0) return fail();
  // Else a role that starts again waits for the old connections to time out.
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (found->ai_family == AF_INET6) {  // "::" takes IPv4 as well, whatever the system's default
    const int off = 0;
    ::setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (::bind(listener_, found->ai_addr, found->ai_addrlen) != 0) return fail();
  if (::listen(listener_, kMaxConnections) != 0) return fail();
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  char port[NI_MAXSERV] = "0";
  if (::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return fail();
  ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, port, sizeof(port),
                NI_NUMERICSERV);
  address.port = static_cast<uint16_t>(std::atoi(port));
  address_ = address.ToString();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                                    const Registry* registry,
                                                                    absl::Duration patience) {
  std::unique_ptr<MetricsServer> self(new MetricsServer(registry, patience));
  RETURN_IF_ERROR(self->Listen(listen));
  self->stop_ = ::eventfd(0, EFD_CLOEXEC);
  if (self->stop_ < 0) return absl::ErrnoToStatus(errno, "cannot make an eventfd");
  self->thread_ = std::thread([server = self.get()] { server->Serve(); });
  return self;
}

MetricsServer::~MetricsServer() {
  if (thread_.joinable()) {
    ::eventfd_write(stop_, 1);
    thread_.join();
  }
  if (listener_ >= 0) ::close(listener_);
  if (stop_ >= 0) ::close(stop_);
}

}  // namespace reckon
