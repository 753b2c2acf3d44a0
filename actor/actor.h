#ifndef RECKON_ACTOR_ACTOR_H_
#define RECKON_ACTOR_ACTOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actor/engine/engine.h"
#include "actor/lease/lease_client.h"
#include "actor/reward/reward.h"
#include "actor/uplink/uplink.h"
#include "actor/weights/model_set.h"
#include "actor/weights/weights_client.h"
#include "common/base/stop_token.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct ActorOptions {
  std::string name;
  EngineOptions engine;
  absl::Duration report_every = absl::Seconds(30);
  absl::Duration stop_within = absl::Seconds(4);  // to flush and give back, once told to stop
};

// The actor: leases work, runs the engine, scores what it finishes and sends it up, and changes
// weights when nothing is in flight (drain mode: a sample comes from one version). Starts with
// nothing but the coordinator's address. Run uses the calling thread for the engine; the parts that
// talk to the coordinator have threads of their own and wake it. A lease that cannot be done is
// failed with a reason, and the actor goes on.
class Actor {
 public:
  // What is pointed at outlives the actor.
  Actor(ActorOptions options, Coordinator::StubInterface* stub, PolicyMaker maker,
        const Rewarder* rewarder, const StopToken* stop);

  // Works until stopped, then sends up what is finished and gives back the rest. An error: the
  // policy failed again and again.
  absl::Status Run();

 private:
  struct OpenLease {
    int64_t missing = 0;     // samples not yet acknowledged
    bool in_engine = false;  // else it waits for its weight version
  };

  void Wake();
  void WaitForNews(absl::Duration timeout);
  void TakeNews();
  void TakeAcks();
  void TakeWeights();
  void Build(WeightsClient::Fetched fetched);
  void Use(const Model* model);
  void AdmitQueued();
  void ChangeVersion();
  absl::Status StepEngine();
  void Upload(const FinishedSample& sample);
  void Fail(uint64_t lease, const absl::Status& why);
  void FailQueued(uint64_t version, const absl::Status& why);
  void SetWanted();
  void Report();

  const ActorOptions options_;
  const Rewarder* const rewarder_;
  const StopToken* const stop_;

  ModelSet models_;
  const Model* model_ = nullptr;  // the one in use
  std::unique_ptr<Engine> engine_;
  std::deque<LeasedWork> queued_;  // of versions other than the one in use
  std::map<uint64_t, OpenLease> open_;
  absl::Time pause_until_ =
      absl::InfinitePast();  // no new work before, after a version was refused
  int failures_ = 0;         // of the policy, in a row
  bool sampled_ = false;     // anything yet
  EngineStats reported_;
  EngineStats total_;  // of engines before the present one
  absl::Time report_at_;

  absl::Mutex mu_;
  bool news_ ABSL_GUARDED_BY(mu_) = false;

  // Last: their threads call Wake.
  LeaseClient leases_;
  Uplink uplink_;
  WeightsClient weights_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ACTOR_H_
