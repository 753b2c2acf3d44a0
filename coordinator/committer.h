#ifndef RECKON_COORDINATOR_COMMITTER_H_
#define RECKON_COORDINATOR_COMMITTER_H_

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/core.h"
#include "coordinator/store.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Where acknowledgements of one Submit stream go. Called by the committer's thread.
class AckSink {
 public:
  virtual ~AckSink() = default;
  virtual void Add(SubmitReply::Ack ack) = 0;
  // All of this commit were added. An error: none of them is known to be durable.
  virtual void Flush(const absl::Status& status) = 0;
};

// Runs the core: one event at a time under a lock, and one thread that takes all that is to be
// written each tick, syncs it in one write batch, and only then lets the replies leave. So a reply
// never tells of something that a crash could undo. Also keeps those who wait for something to
// change, without a thread each.
//
// Owned by main; thread-safe. Callbacks run without the lock, on the committer's thread or the
// caller's. When a write fails it stops for good: every reply is UNAVAILABLE, and `on_failure` runs
// once so that the process ends.
class Committer {
 public:
  using Event = absl::FunctionRef<void(Core& core, absl::Time now)>;
  using Done = std::function<void(const absl::Status&)>;
  // True: it has its answer. With `last` it has to take what there is.
  using Attempt = std::function<bool(Core& core, absl::Time now, bool last)>;

  struct Options {
    absl::Duration sync_tick = absl::Milliseconds(2);
    std::function<void(const absl::Status&)> on_failure;
  };

  // `store` and `clock` outlive it.
  Committer(std::unique_ptr<Core> core, Store* store, Clock* clock, Options options);
  ~Committer();

  // Runs `event` now, and `done` when everything it could have seen is durable.
  void Do(Event event, Done done);
  // Runs `attempt` now and, until it is true, whenever `kind` changes; for the last time after
  // `wait`, at most 30 s. Then `done` as above.
  void Await(Changed kind, absl::Duration wait, Attempt attempt, Done done);
  void Submit(const SubmitRequest& request, const std::shared_ptr<AckSink>& sink);

  // Answers those who wait and lets nobody wait any more. Events still run, until destruction.
  void EndWaits();

 private:
  struct Waiter {
    absl::Time deadline;
    Attempt attempt;
    Done done;
  };

  void Run();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool ShouldCommitNow() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Tries those who wait for what changed, and those whose time is over.
  void Wake(uint32_t changed, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AfterEvent(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Fail(const absl::Status& status);

  Store* const store_;
  Clock* const clock_;
  const Options options_;

  absl::Mutex mu_;
  const std::unique_ptr<Core> core_ ABSL_PT_GUARDED_BY(mu_);
  std::map<uint32_t, std::list<Waiter>> waiters_ ABSL_GUARDED_BY(mu_);
  std::vector<Done> replies_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<std::shared_ptr<AckSink>, SubmitReply::Ack>> acks_ ABSL_GUARDED_BY(mu_);
  bool waits_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool committing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_COMMITTER_H_
