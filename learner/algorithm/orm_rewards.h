#ifndef RECKON_LEARNER_ALGORITHM_ORM_REWARDS_H_
#define RECKON_LEARNER_ALGORITHM_ORM_REWARDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/experience.h"
#include "learner/algorithm/learner_context.h"
#include "learner/orm/reward_model.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

using RewardList = google::protobuf::RepeatedPtrField<RewardSettings>;

// The rewards that actors compute: all but those of kind ORM, which are the learner's business.
// With none of them left EXACT_MATCH_STRICT tells right from wrong: for nothing beside an ORM, else
// as the reward.
RewardList ActorRewards(const RewardList& rewards);

// Folder of the reward model `name`: what an orm stage of this run writes, or any other folder.
std::string RewardModelFolder(const LearnerContext& context, const std::string& name);

// The reward model `name`, kept in the context until another one is asked for.
absl::StatusOr<RewardModel*> OpenRewardModel(LearnerContext& context, const std::string& name);

// Rank 0 alone: adds what rewards of kind ORM give to Rollout.reward.
absl::Status AddOrmRewards(LearnerContext& context, const RewardList& rewards,
                           std::vector<Rollout>* rollouts);

// All ranks together: adds it to the experiences of these rollouts. A dense one is given as the
// probability rises from one step's end to the next, first from 0, so that its sum is that of the
// whole solution and steps that change nothing earn nothing. (The paper, as far as is known, gives
// the probability itself at each step; that pays for the number of steps.)
absl::Status AddOrmRewards(LearnerContext& context, const RewardList& rewards,
                           const std::vector<Rollout>& rollouts, std::vector<Experience>* step);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ORM_REWARDS_H_
