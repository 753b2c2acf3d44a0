#ifndef RECKON_ACTOR_LEASE_LEASE_CLIENT_H_
#define RECKON_ACTOR_LEASE_LEASE_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct LeasedWork {
  Lease lease;
  std::shared_ptr<const PlanSpec> plan;
};

// Gets work from the coordinator and keeps it: one thread leases, another renews at a third of the
// expiry and gives back. A coordinator that is away is asked again for ever, with back-off.
// Thread-safe. `stub` must outlive it.
class LeaseClient {
 public:
  // `notify` is called, from the client's threads, when there is something to Take.
  LeaseClient(Coordinator::StubInterface* stub, std::string actor, std::function<void()> notify);
  // Stops the threads. What is held and was not returned expires at the coordinator.
  ~LeaseClient();
  LeaseClient(const LeaseClient&) = delete;
  LeaseClient& operator=(const LeaseClient&) = delete;

  // How many samples more than those taken so far are wanted (0: none), and the version loaded.
  void Want(int64_t samples, uint64_t held_version);
  struct News {
    std::vector<LeasedWork> leases;  // in order of arrival
    // No longer ours, in the coordinator's eyes: their work is to be dropped. May name new ones.
    std::vector<uint64_t> lost;
  };
  News Take();
  // All samples of the lease are acknowledged: renew it no more.
  void Forget(uint64_t lease);
  // Gives a lease back; with an error the attempt counts as failed. Returns at once.
  void Return(uint64_t lease, const absl::Status& error);
  // Ends leasing and gives back all that is held, within about `timeout`.
  void ReturnAll(absl::Duration timeout);

 private:
  class Call;  // a client context that stopping cancels
  struct Returned {
    std::vector<uint64_t> leases;
    std::string error;  // empty: a clean return
  };

  void LeaseLoop();
  void RenewLoop();
  void Accept(const LeaseReply& reply);
  bool RenewHeld();                                             // false: the coordinator is away
  bool Send(const Returned& returned, absl::Duration timeout);  // false: try again
  void Sleep(absl::Duration duration, bool LeaseClient::* until);
  static int64_t Samples(const std::vector<LeasedWork>& work);

  Coordinator::StubInterface* const stub_;
  const std::string actor_;
  const std::function<void()> notify_;

  absl::Mutex mu_;
  absl::CondVar changed_;
  int64_t wanted_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t held_version_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<LeasedWork> new_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> lost_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> held_ ABSL_GUARDED_BY(mu_);
  std::vector<Returned> returns_ ABSL_GUARDED_BY(mu_);
  absl::Time renew_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  std::set<Call*> calls_ ABSL_GUARDED_BY(mu_);
  bool leasing_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool lease_loop_done_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  std::thread lease_thread_;  // last: they start when all else is there
  std::thread renew_thread_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_LEASE_LEASE_CLIENT_H_
