#ifndef RECKON_CLI_REPORT_WATCH_SERVER_H_
#define RECKON_CLI_REPORT_WATCH_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// Serves the page of `reckon watch` to browsers of this machine, read-only:
//
//   GET /          the page
//   GET /summary   what stands above the browser of rollouts, as HTML
//   GET /rollouts  the rollouts, as a JSON array
//   GET /events    server-sent events: a line about the run, and which parts have changed
//
// Listens on 127.0.0.1 alone and answers only to requests for that name, so that no page of another
// site reads it through a browser. At most kFollowers follow the events; another gets 503.
// Thread-safe. Owned by the command, which sets the parts.
class WatchServer {
 public:
  static constexpr int kFollowers = 16;

  // `port` 0: any free one. UNAVAILABLE: the port is taken.
  static absl::StatusOr<std::unique_ptr<WatchServer>> Start(int port, std::string page);
  // Ends all connections.
  ~WatchServer();

  int port() const { return port_; }
  void SetSummary(std::string html);
  void SetRollouts(std::string json);
  // One line about the run.
  void SetLine(std::string line);

 private:
  struct Http;
  explicit WatchServer(std::string page);
  // The data of the next event after the one with number `seen`, which it updates; "" after 10 s
  // without news.
  std::string NextEvent(uint64_t* seen);
  void Change() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string page_;
  int port_ = 0;
  absl::Mutex mu_;
  std::string summary_ ABSL_GUARDED_BY(mu_);
  std::string rollouts_ ABSL_GUARDED_BY(mu_) = "[]";
  std::string line_ ABSL_GUARDED_BY(mu_);
  uint64_t summary_number_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t rollouts_number_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(mu_) = 1;
  int followers_ ABSL_GUARDED_BY(mu_) = 0;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<Http> http_;
};

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_WATCH_SERVER_H_
