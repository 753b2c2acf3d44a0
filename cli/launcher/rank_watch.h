#ifndef RECKON_CLI_LAUNCHER_RANK_WATCH_H_
#define RECKON_CLI_LAUNCHER_RANK_WATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Notices a learner group of which a process runs but gives no sign of life, when no other rank can
// end because of it: it is the only one, or all are stopped. Where a rank still lives, the
// coordinator tells it, it ends, and its supervisor sees that first. Asks the coordinator for its
// status every second, on a thread of its own. Thread-safe.
class RankWatch {
 public:
  // `rank_timeout` is the coordinator's. `stub` is kept.
  RankWatch(std::shared_ptr<Coordinator::StubInterface> stub, absl::Duration rank_timeout);

  // A group starts: ranks of the present term are those of the group before. Asks the coordinator.
  void NewGroup();
  // "rank 0 on node-7 has not been heard of for 20.4 s"; empty: all is well, or nothing is known.
  std::string Trouble();

 private:
  void Run(const std::stop_token& stop);
  void Ask(const std::stop_token& stop);

  const std::shared_ptr<Coordinator::StubInterface> stub_;
  const absl::Duration limit_;
  absl::Mutex mu_;
  // Of the group before; absent: not known, and the next one that is heard of is taken for it.
  std::optional<uint64_t> old_term_ ABSL_GUARDED_BY(mu_);
  std::string trouble_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the others
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_RANK_WATCH_H_
