#ifndef RECKON_ACTOR_SERVE_HTTP_CONNECTIONS_H_
#define RECKON_ACTOR_SERVE_HTTP_CONNECTIONS_H_

#include <httplib.h>

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

class ConnectionThreads;

// An HTTP server whose handlers can ask whether their client is still there. Debian's cpp-httplib
// does not tell a handler its socket, and takes what it did not read of a request for the next one:
// so connections are read, written and ended here; requests are parsed and routed there. A thread
// for each connection, as in the library: a client that connects while all have one gets that of a
// connection on which no request is under way. The post-routing handler is its own.
class HttpConnections : public httplib::Server {
 public:
  explicit HttpConnections(size_t threads);

  // Binds and listens. Returns the port, for `port` 0 any free one; 0: it could not.
  int Bind(const std::string& host, int port);
  // Whether the client of the request that this thread handles has closed its connection, or the
  // half of it through which it sends, as one that has gone does.
  static bool ClientHasGone();

 private:
  bool process_and_close_socket(socket_t socket) override;

  ConnectionThreads* threads_ = nullptr;  // while it listens; the library's
};

// The threads of the connections. When all have one and as many wait, no further connection is
// accepted: it stays in the kernel's queue, which is bounded. The library owns and stops it.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(size_t threads);

  void enqueue(std::function<void()> connection) override;
  // Whether a connection waits for a thread.
  bool HasWaiting();
  // Returns when all connections have ended.
  void shutdown() override;

 private:
  void Work();

  const size_t max_waiting_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_HTTP_CONNECTIONS_H_
