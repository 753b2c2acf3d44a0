#ifndef RECKON_ACTOR_REWARD_REWARD_H_
#define RECKON_ACTOR_REWARD_REWARD_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Judges one rollout by one entry of a plan's weighted list. Implementations are stateless or lock.
class Rewarder {
 public:
  virtual ~Rewarder() = default;
  // An error means that the rollout could not be judged, which is never the same as zero.
  virtual absl::StatusOr<RewardValue> Judge(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const = 0;
};

// The rules that compare the completion's final number with the reference answer, or its steps with
// the reference's.
class Verifier : public Rewarder {
 public:
  absl::StatusOr<RewardValue> Judge(const RewardSpec& spec, const WorkItem& item,
                                    const Rollout& rollout) const override;
};

// Fills `rollout`'s rewards, one for each spec in order, with the tokens that end their steps, and
// their weighted sum.
absl::Status AddRewards(const Rewarder& rewarder, const PlanSpec& plan, const WorkItem& item,
                        const Tokenizer& tokenizer, Rollout* rollout);

}  // namespace reckon

#endif  // RECKON_ACTOR_REWARD_REWARD_H_
