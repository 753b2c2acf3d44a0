#ifndef RECKON_COMMON_NET_PLAN_WATCH_H_
#define RECKON_COMMON_NET_PLAN_WATCH_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/stop.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// How far a plan is.
struct PlanView {
  double samples = 0;  // accepted
  double tokens_per_s = 0;
  std::string waiting_for;  // for humans; empty: nothing is missing
};

// Watches a plan while its owner waits for batches: shows how far it is and what it waits for, and
// knows when it cannot continue (plan_health.h). Owns one thread, from construction to destruction,
// which asks the coordinator for its status every 500 ms, with a deadline of two seconds. It polls
// because the coordinator has no call that streams its status.
class PlanWatch {
 public:
  // `show` is called on the thread at most every 500 ms, and for a last time, with nothing to wait
  // for, before the destructor returns. `stub` must outlive the watch; `term` is PlanHealth's.
  PlanWatch(Coordinator::StubInterface* stub, PlanSpec spec, uint64_t term,
            std::function<void(const PlanView&)> show);

  // OK, or why the plan cannot continue. Any thread.
  absl::Status Check() const;

 private:
  void Run(const std::stop_token& stop);

  Coordinator::StubInterface* const stub_;
  const PlanSpec spec_;
  const uint64_t term_;
  const std::function<void(const PlanView&)> show_;
  mutable absl::Mutex mu_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: uses the others; its destructor stops and joins it
};

}  // namespace reckon

#endif  // RECKON_COMMON_NET_PLAN_WATCH_H_
