#ifndef RECKON_ACTOR_REWARD_REWARD_H_
#define RECKON_ACTOR_REWARD_REWARD_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Scores a rollout by one reward of a plan. An implementation must be safe to call from several
// threads.
class Rewarder {
 public:
  virtual ~Rewarder() = default;
  // An error means that the rollout could not be scored. It must never become a reward of zero,
  // which would teach the model something; the actor fails the lease instead.
  virtual absl::StatusOr<RewardValue> Score(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const = 0;
};

// The verifiable rewards of common/task/reward:
//   EXACT_MATCH_STRICT, EXACT_MATCH_FLEXIBLE  the final number equals the reference answer
//   STEP_MATCH                                solution steps equal those of the reference, in order
// UNIMPLEMENTED: a kind that this actor does not know.
class Verifier : public Rewarder {
 public:
  absl::StatusOr<RewardValue> Score(const RewardSpec& spec, const WorkItem& item,
                                    const Rollout& rollout) const override;
};

// Fills the rewards of `rollout`, one for each spec of the plan in order, the tokens that end their
// solution steps, and rollout.reward = sum of spec.weight * value. An error names the reward and
// leaves the rollout without a total.
absl::Status ScoreRollout(const Rewarder& rewarder, const PlanSpec& plan, const WorkItem& item,
                          const Tokenizer& tokenizer, Rollout* rollout);

}  // namespace reckon

#endif  // RECKON_ACTOR_REWARD_REWARD_H_
