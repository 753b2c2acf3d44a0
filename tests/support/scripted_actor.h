#ifndef RECKON_TESTS_SUPPORT_SCRIPTED_ACTOR_H_
#define RECKON_TESTS_SUPPORT_SCRIPTED_ACTOR_H_

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// An actor for tests: leases work from the coordinator at `address` on a thread of its own and
// answers each sample with what its script says. Samples are submitted in order of the leases, and
// sent again when the stream breaks before they were acknowledged. Thread-safe.
class ScriptedActor {
 public:
  using Sample = std::tuple<std::string, uint64_t, uint32_t>;  // plan, group, sample
  // A function of its arguments, as a real actor's rollouts are. The actor sets the rollout's key
  // and its own name.
  using Script = std::function<Rollout(const PlanSpec&, const Lease&, uint32_t sample)>;

  // Waits `pause` after each lease before it submits.
  ScriptedActor(const std::string& address, std::string name, Script script,
                absl::Duration pause = absl::ZeroDuration());
  ~ScriptedActor() { Stop(); }

  void Stop();

  std::set<Sample> acknowledged() const;
  int refused() const;  // samples that the coordinator rejected

 private:
  bool stopped() const;
  void Loop();
  void LeaseOnce();
  // Sends what is unsent over one stream and waits for its acknowledgements. False: it broke.
  bool SendAll();

  const std::unique_ptr<Coordinator::Stub> stub_;
  const std::string name_;
  const Script script_;
  const absl::Duration pause_;
  std::deque<SubmitRequest> unsent_;  // of the thread
  mutable absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Sample> acknowledged_ ABSL_GUARDED_BY(mu_);
  int refused_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_SCRIPTED_ACTOR_H_
