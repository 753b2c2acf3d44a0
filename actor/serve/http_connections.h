#ifndef RECKON_ACTOR_SERVE_HTTP_CONNECTIONS_H_
#define RECKON_ACTOR_SERVE_HTTP_CONNECTIONS_H_

#include <httplib.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace reckon {

class ConnectionThreads;

// An HTTP server whose handlers can ask whether their client is still there. Debian's cpp-httplib
// does not tell a handler its socket, and takes what it did not read of a request for the next one:
// so connections are read, written and ended here; requests are parsed and routed there. A thread
// for each connection, as in the library: a client that connects while all have one gets that of a
// connection on which no request is under way. A request is read within a time from its first byte
// on, however slowly its client sends. The post-routing handler is its own.
class HttpConnections : public httplib::Server {
 public:
  HttpConnections(size_t threads, absl::Duration read_time);

  // Binds and listens. Returns the port, for `port` 0 any free one; 0: it could not.
  int Bind(const std::string& host, int port);
  // Whether the client of the request that this thread handles has closed its connection, or the
  // half of it through which it sends, as one that has gone does.
  static bool ClientHasGone();
  // For a handler: End waits for its reply.
  void BeginReply() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes no further request, waits until the replies that were begun are written, `last_write` at
  // most, and ends all connections and listen_after_bind: with clients that send or read slowly as
  // well.
  void End(absl::Duration last_write) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  bool process_and_close_socket(socket_t socket) override;

  const absl::Duration read_time_;
  ConnectionThreads* threads_ = nullptr;  // while it listens; the library's
  absl::Mutex mu_;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  int64_t replies_ ABSL_GUARDED_BY(mu_) = 0;  // begun, and not yet written
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
