#ifndef RECKON_COORDINATOR_SERVICE_COMMITTER_H_
#define RECKON_COORDINATOR_SERVICE_COMMITTER_H_

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
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "coordinator/core/core.h"
#include "coordinator/service/coordinator_metrics.h"
#include "coordinator/store/store.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Where the acknowledgements of one Submit stream go. Called by the committer's thread.
class AckSink {
 public:
  virtual ~AckSink() = default;
  virtual void Add(SubmitReply::Ack ack) = 0;
  // All acknowledgements of one commit were added. An error: none of them may be sent, because it
  // is unknown whether they are durable.
  virtual void Flush(const absl::Status& status) = 0;
};

// Runs the core under a lock and makes its events durable in groups (group commit): a disk syncs a
// few hundred times a second, actors submit thousands of rollouts, so one sync serves all events of
// a tick.
//
//   RPC threads            event, event, event ...    each runs at once, its reply waits
//                             |
//   committer's thread     1. waits for something to write
//                          2. expires leases
//                          3. takes all writes and all replies                    (under the lock)
//                          4. writes and syncs them as one batch                  (without it)
//                          5. sends the replies, tries calls that waited for a record of this
//                             commit; back to 1
//
// So no reply tells of anything that a crash could undo. A reply that depends on nothing unwritten
// is sent at once. What comes during a write is the next commit; where the disk is faster than
// sync_tick, a commit begins no earlier than that after the one before.
//
// The store is read without the lock: an event that wants a record of it is repeated by its
// caller's thread (core/reads.h).
//
// Calls that wait (NextBatch, Lease, GetManifest, Rendezvous) are kept in lists and tried again
// when an event changes what they wait for; they hold no thread.
//
// Owned by CoordinatorServer; thread-safe. Callbacks run without the lock, on the committer's
// thread or the caller's, and wait for nothing: other replies come after them. When a write fails
// it stops for good: every reply is UNAVAILABLE, and `on_failure` runs once, so that main can end
// the process.
class Committer {
 public:
  using Event = absl::FunctionRef<void(Core& core, absl::Time now, Reads& reads)>;
  using Done = std::function<void(const absl::Status&)>;
  // True: it has its answer. With `last` it must answer with what exists.
  using Attempt = std::function<bool(Core& core, absl::Time now, bool last, Reads& reads)>;

  struct Options {
    absl::Duration sync_tick = absl::Milliseconds(2);  // between the beginnings of two writes
    std::function<void(const absl::Status&)> on_failure;
    CoordinatorMetrics* metrics = &CoordinatorMetrics::Process();
  };

  // `store` and `clock` outlive it.
  Committer(std::unique_ptr<Core> core, Store* store, Clock* clock, Options options);
  ~Committer();

  // Runs `event` now, and `done` when everything that the event could have seen is durable.
  void Do(Event event, Done done);
  // Runs `attempt` now and, until it is true, whenever `kind` changes; for the last time after
  // `wait`, 30 s at most. Then `done` as above.
  void Await(Changed kind, absl::Duration wait, Attempt attempt, Done done);
  // Submits rollouts that were parsed; their acknowledgements go to `sink` when they are durable.
  void Submit(absl::Span<Submission> submissions, const std::shared_ptr<AckSink>& sink);

  // Answers the waiting calls and lets no call wait any more. Events still run.
  void EndWaits();

 private:
  struct Waiter {
    Changed kind;
    absl::Time deadline;
    Attempt attempt;
    Done done;
  };
  // What leaves when its writes are durable.
  struct Replies {
    std::vector<Done> done;
    std::vector<std::pair<std::shared_ptr<AckSink>, SubmitReply::Ack>> acks;

    bool empty() const { return done.empty() && acks.empty(); }
    void Send(const absl::Status& status);
  };

  // Calls `step(now, reads)` under the lock, and again as long as it wants records. An error: the
  // committer has failed, or a record cannot be read.
  template <typename Step>
  absl::Status WithRecords(Step step);
  void Try(Waiter waiter);
  void Run();
  // Steps 1 to 3; false: it stops.
  bool PrepareCommit(Writes* writes, Replies* replies);
  // True when `done` was queued for the next commit.
  bool QueueReply(Done& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool IsFull() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Tries the calls that wait for what `changed`, and those whose time is over.
  void Wake(uint32_t changed, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeAfterEvent(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeAfterCommit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TryReading();
  void Fail(const absl::Status& status);

  Store* const store_;
  Clock* const clock_;
  const Options options_;

  absl::Mutex mu_;
  const std::unique_ptr<Core> core_ ABSL_PT_GUARDED_BY(mu_);
  std::map<uint32_t, std::list<Waiter>> waiters_ ABSL_GUARDED_BY(mu_);  // by Changed
  std::list<Waiter> reading_ ABSL_GUARDED_BY(mu_);  // were tried under the lock and want a record
  Replies replies_ ABSL_GUARDED_BY(mu_);            // of the next commit
  bool waits_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool committing_ ABSL_GUARDED_BY(mu_) = false;  // a write is in progress
  uint32_t changed_ ABSL_GUARDED_BY(mu_) = 0;     // by events of the next commit
  uint32_t written_ ABSL_GUARDED_BY(mu_) = 0;     // by those of the commit in progress
  absl::Status failure_ ABSL_GUARDED_BY(mu_);

  absl::Time begun_;  // when the last write began; of the thread
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_COMMITTER_H_
