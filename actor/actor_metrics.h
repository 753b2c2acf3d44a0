#ifndef RECKON_ACTOR_ACTOR_METRICS_H_
#define RECKON_ACTOR_ACTOR_METRICS_H_

#include <map>

#include "absl/status/status.h"
#include "actor/engine/engine.h"
#include "common/reward/outcome.h"
#include "common/telemetry/activity.h"
#include "common/telemetry/registry.h"

namespace reckon {

// The metrics of an actor (docs/metrics.md), updated by Actor and its clients where the event
// happens. Thread-safe.
struct ActorMetrics {
  explicit ActorMetrics(Registry *registry);
  // Those of this process.
  static ActorMetrics &Process();

  // What the engine has done since it had done `before`.
  void CountPass(const EngineStats &before, const EngineStats &now);
  void CountSample(const FinishedSample &sample);
  // A version that could not be used: because of its content, or its source does not answer.
  void CountWeightError(bool refused);
  // An attempt to compute a reward of the user's own.
  void CountFailure(RewardFailure failure);

  enum State {
    kStart,
    kGenerate,
    kLoadWeights,
    kWaitLease,
    kWaitWeights,
    kWaitRewards,
    kWaitCoordinator,
    kWaitTurn  // on the device that it shares with the learner
  };
  Activity activity;

  Counter &generated_tokens, &prompt_tokens;
  Counter &scored, &reward_errors, &pass_errors, &failed_leases;
  Gauge &running, &waiting, &unacknowledged;
  Gauge &version;
  Histogram &rollout_seconds, &rollout_tokens;
  Histogram &fetch_seconds, &load_seconds;
  Counter &received_bytes, &broadcast_bytes;

 private:
  Counter &stopped_, &truncated_, &forced_;  // samples
  Counter &refused_, &no_answer_;            // weight versions
  std::map<RewardFailure, Counter *> reward_failures_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ACTOR_METRICS_H_
