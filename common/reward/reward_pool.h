#ifndef RECKON_COMMON_REWARD_REWARD_POOL_H_
#define RECKON_COMMON_REWARD_REWARD_POOL_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/reward/outcome.h"
#include "common/reward/reward_worker.h"
#include "proto/reward.pb.h"

namespace reckon {

// The workers of one reward of the user's own. Each has a thread, which takes the next completion
// of a queue. An attempt that fails is made once more, by whichever worker is free next; a second
// failure, or a refusal, is the completion's status. Remembers how the latest attempts ended.
// Thread-safe.
class RewardPool {
 public:
  struct Options {
    RewardSpec spec;
    std::function<std::unique_ptr<RewardWorker>()> make_worker;  // called once for each worker
    // After each failed attempt, on a worker's thread.
    std::function<void(RewardFailure)> on_failure = [](RewardFailure) {};
    size_t max_queued = 65536;  // completions
  };
  struct Result {
    absl::StatusOr<RewardValue>
        value;  // without its name, or INTERNAL "timeout: no reply within 10s"
    std::vector<RewardFailure> failures;  // of the attempts that failed
  };
  using Done = absl::AnyInvocable<void(Result)>;

  explicit RewardPool(Options options);
  // Drops what is queued; its Done is not called.
  ~RewardPool();
  RewardPool(const RewardPool&) = delete;
  RewardPool& operator=(const RewardPool&) = delete;

  // Calls `done` on a worker's thread; it must not block. RESOURCE_EXHAUSTED: the queue is full.
  absl::Status Add(ScoreRequest request, Done done);

  // More than the spec's share of the latest attempts has failed: how many, by name, and the last
  // of them. Empty: not so. At least 32 attempts are counted, so that with a share of 5 % the
  // second failure among them is one too many.
  std::string failing() const;
  // Forgets how the latest attempts ended.
  void Forgive();
  // What the workers wait for that may heal; empty: nothing.
  std::string waiting_for() const;

 private:
  struct Task {
    ScoreRequest request;
    Done done;
    std::vector<RewardFailure> failures;
  };

  void Work(RewardWorker& worker);
  void Finish(Task task, RewardOutcome outcome);
  void Note(const RewardOutcome& outcome);
  void SetWaitingFor(const std::string& what);

  const Options options_;
  std::stop_source stop_;
  mutable absl::Mutex mu_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // The latest attempts, oldest first; nothing: it succeeded.
  std::deque<std::optional<RewardFailure>> latest_ ABSL_GUARDED_BY(mu_);
  std::string last_failure_ ABSL_GUARDED_BY(mu_);
  std::string waiting_for_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;  // last: they use the others
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_REWARD_POOL_H_
