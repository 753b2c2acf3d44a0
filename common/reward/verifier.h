#ifndef RECKON_COMMON_REWARD_VERIFIER_H_
#define RECKON_COMMON_REWARD_VERIFIER_H_

#include "absl/status/statusor.h"
#include "proto/reward.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Scores a rollout by one reward of a plan, at once. An implementation must be safe to call from
// several threads.
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
//   ANSWER_BOXED                              the last \boxed{} has the reference answer
//   ANSWER_TEXT                               the text after the last "####" is the reference
//   answer STEP_MATCH                                solution steps equal those of the reference,
//   in order
// UNIMPLEMENTED: another kind.
class Verifier : public Rewarder {
 public:
  absl::StatusOr<RewardValue> Score(const RewardSpec& spec, const WorkItem& item,
                                    const Rollout& rollout) const override;
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_VERIFIER_H_
