#ifndef RECKON_LEARNER_PARALLEL_MEMBERSHIP_H_
#define RECKON_LEARNER_PARALLEL_MEMBERSHIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/stop.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct MembershipOptions {
  std::string learner;  // for humans
  int rank = 0;
  int world = 1;
  std::string nonce;                               // equal on all ranks of one start of the group
  absl::Duration join_timeout = absl::Minutes(5);  // for a rank that never calls
  absl::Duration stop_grace = absl::Seconds(15);   // see group_stop
};

// A rank's membership in a term of the learner group: it tells the coordinator that the rank lives,
// and the rank that the group does not.
//
//   Begin  enters the term; from here on a thread of its own sends a heartbeat a few times within
//   the
//          coordinator's rank_timeout_ms
//   Meet   waits until all ranks are here; then they may connect to each other
//   End    leaves, or reports why the rank fails, and finds the first cause
//
// When the term is over, because a rank is missed or failed or another group has taken over, stop()
// and group_stop() are requested: whatever the rank waits in ends. A coordinator that does not
// answer ends nothing.
//
// Owned by the Learner; its methods belong to the learner's thread.
class Membership {
 public:
  // What the rank waits for, for humans; empty: nothing any more.
  using WaitingFor = std::function<void(const std::string&)>;

  // UNAVAILABLE when the coordinator does not answer for two minutes; those of End when the term is
  // over. `stop` is the program's.
  static absl::StatusOr<std::unique_ptr<Membership>> Begin(
      std::shared_ptr<Coordinator::StubInterface> stub, MembershipOptions options,
      std::stop_token stop, WaitingFor waiting_for);
  ~Membership();
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  uint64_t term() const { return term_; }
  // Requested when the program stops or the term is over.
  std::stop_token stop() const { return stop_.get_token(); }
  // What ends a collective: requested when the term is over, or stop_grace after the program's
  // stop. Until then ranks that are stopped may end an optimizer step and save it together.
  std::stop_token group_stop() const { return group_stop_.get_token(); }

  // Returns when every rank has called it. However long another rank that has called the
  // coordinator takes until then, it is waited for. UNAVAILABLE names one that has not within
  // join_timeout.
  absl::Status Meet();

  // Asks the coordinator whether the term continues, before the leader overwrites what a newer
  // group may have written, since a process that was suspended does not know how long. OK as well
  // when the coordinator does not answer. Any thread, until End.
  absl::Status Check();

  // Ends the membership of a rank that ends with `status`, and returns why it really ends:
  //   OK, CANCELLED  of the program: as planned; the rank is not missed
  //   UNAVAILABLE    the term has ended: "rank 2 on node-7 has not been heard of for 15.2 s"
  //   ABORTED        another learner group has taken over
  //   another        `status`, the first cause, which the other ranks are told
  // A collective that broke is given the time that the coordinator needs to miss a rank; when none
  // is missed, UNAVAILABLE names one that had left.
  absl::Status End(absl::Status status);

 private:
  struct RequestStop {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };

  Membership(std::shared_ptr<Coordinator::StubInterface> stub, MembershipOptions options,
             std::stop_token stop, WaitingFor waiting_for);
  absl::Status EnterTerm();
  // A process of this rank that ends and is started again within a term has lost its connections.
  absl::Status CheckFirstLife();
  // A heartbeat. False: the coordinator did not answer. The term may be over then; see cause.
  bool Beat(const std::string& failure, bool leaving);
  void Run(const std::stop_token& stop);
  absl::StatusOr<GetStatusReply> AskStatus();
  // "rank 3 of 4: it has never called"; empty when all have.
  absl::StatusOr<std::string> NeverCalled();
  void WaitForCause();
  absl::Status cause();
  absl::Duration timeout();
  bool HasCause() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !cause_.ok(); }

  const std::shared_ptr<Coordinator::StubInterface> stub_;
  const MembershipOptions options_;
  const std::stop_token program_stop_;
  const WaitingFor waiting_for_;
  const std::string host_;
  uint64_t term_ = 0;
  std::stop_source stop_, group_stop_;
  std::stop_callback<RequestStop> forward_stop_;  // from the program's to stop_

  absl::Mutex mu_;
  absl::Status cause_ ABSL_GUARDED_BY(mu_);                          // why the term is over
  absl::Duration timeout_ ABSL_GUARDED_BY(mu_) = absl::Seconds(15);  // the coordinator's

  std::jthread thread_;  // last: it uses the others
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_MEMBERSHIP_H_
