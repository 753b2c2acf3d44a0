#ifndef RECKON_ACTOR_LEASE_LEASE_CLIENT_H_
#define RECKON_ACTOR_LEASE_LEASE_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// A lease as the coordinator granted it, with the plan that its samples belong to.
struct GrantedLease {
  Lease lease;
  std::shared_ptr<const PlanSpec> plan;
};

// Obtains leases from the coordinator, renews them, and returns those that cannot be finished.
//
//   SetDemand --> [lease thread: Lease] --> granted --> Complete         all samples are durable
//                                              |------> Return           failed or not wanted
//                 [renew thread: RenewLeases]  +------> revoked          the coordinator ended it
//
// The lease thread asks while there is demand. With each call goes the actor's report; without
// demand it sends the report alone, at once when it changes and every two seconds, by which the
// coordinator also knows that the actor lives. The renew thread renews every held lease at a third
// of its expiry, so that two renewals may be lost, and sends the returns. Both retry for ever when
// the coordinator is away; nothing of that reaches the caller. Thread-safe.
class LeaseClient {
 public:
  // `stub` must outlive the client. `notify` is called on the client's threads when TakeUpdates has
  // something to return; it must not block.
  LeaseClient(Coordinator::StubInterface* stub, std::string actor, std::function<void()> notify);
  // Leases that are still held expire at the coordinator.
  ~LeaseClient();
  LeaseClient(const LeaseClient&) = delete;
  LeaseClient& operator=(const LeaseClient&) = delete;

  // Sets how many samples the engine can take beyond those that TakeUpdates has returned (0 or
  // less: none), and the weight version that is loaded, at which the coordinator prefers work.
  void SetDemand(int64_t samples, uint64_t loaded_version);
  // What the actor says of itself from now on.
  void SetReport(ActorReport report);

  struct Updates {
    std::vector<GrantedLease> granted;  // in order of arrival
    // Leases that the coordinator has ended: drop their work. May name leases of `granted`.
    std::vector<uint64_t> revoked;
  };
  Updates TakeUpdates();

  // All samples of the lease are acknowledged: stop renewing it.
  void Complete(uint64_t lease);
  // Returns a lease. With an error the attempt counts as failed; OK means that the work should be
  // done by another actor. Does not block.
  void Return(uint64_t lease, const absl::Status& error);
  // Stops the threads and returns every lease that is held, within about `timeout`. Call it last.
  void ReturnAll(absl::Duration timeout);

 private:
  struct PendingReturn {
    std::vector<uint64_t> leases;
    std::string error;  // empty: the attempt does not count
  };

  void LeaseLoop();
  void RenewLoop();
  void Accept(const LeaseReply& reply);
  bool RenewHeld();  // false: the coordinator is away
  // False: try again later.
  bool SendReturn(const PendingReturn& pending, const std::stop_token& stop,
                  absl::Duration timeout);
  // Ends both loops. The lease thread has `grace` to receive the reply of its last call,
  // so that leases granted by it are returned too.
  void EndThreads(absl::Duration grace);

  Coordinator::StubInterface* const stub_;
  const std::string actor_;
  const std::function<void()> notify_;
  std::stop_source cancel_calls_;

  absl::Mutex mu_;
  absl::CondVar changed_;
  int64_t demand_ ABSL_GUARDED_BY(mu_) = 0;  // samples not yet granted
  uint64_t loaded_version_ ABSL_GUARDED_BY(mu_) = 0;
  ActorReport report_ ABSL_GUARDED_BY(mu_);
  absl::Time report_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();  // without demand
  Updates updates_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> held_ ABSL_GUARDED_BY(mu_);
  std::vector<PendingReturn> returns_ ABSL_GUARDED_BY(mu_);
  absl::Time renew_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  bool lease_loop_ended_ ABSL_GUARDED_BY(mu_) = false;

  // Last: the threads start when all other members are initialized.
  std::thread lease_thread_;
  std::thread renew_thread_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_LEASE_LEASE_CLIENT_H_
