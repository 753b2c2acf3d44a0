#ifndef RECKON_LEARNER_EXPERIENCE_ORM_REWARDS_H_
#define RECKON_LEARNER_EXPERIENCE_ORM_REWARDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/context/context.h"
#include "learner/experience/experience.h"
#include "learner/experience/reward_model.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Rewards of kind ORM, which the learner computes with a reward model: actors hold none.

using RewardList = google::protobuf::RepeatedPtrField<RewardSpec>;

// Returns the rewards that actors compute, i.e. all but those of kind ORM. The result is never
// empty, because every rollout needs a verdict:
//   {STEP_MATCH, ORM} -> {STEP_MATCH}
//   {ORM}             -> {EXACT_MATCH_STRICT, weight 0}: a verdict, and nothing for the reward
//   {}                -> {EXACT_MATCH_STRICT, weight 1}
RewardList ActorRewards(const RewardList& rewards);

// The folder that a reward setting's `orm` names: <run_dir>/orm/<name> for a stage of this run,
// else the name itself, a path.
std::string RewardModelFolder(const RunState& run, const std::string& name);

// Loads the reward model `name`, or returns the one in `run` if it was the last one used: only one
// is in memory at a time. The leader's, which holds all of it.
absl::StatusOr<RewardModel*> OpenRewardModel(LeaderContext& leader, const std::string& name);
// The same on every rank: the leader reads and shares it with those that lack it. Ranks that divide
// the policy divide it too. A collective.
absl::StatusOr<RewardModel*> AllRanksOpenRewardModel(RankContext& ranks, const std::string& name);

// Drops the reward model in `run`, unless the stage uses it in this form: an evaluation, or the
// stage before, may have loaded it, and the stage may need its memory.
void DropUnusedRewardModel(RunState& run);

// The probability that each rollout's solution is right, computed on the leader alone. The model
// reads the solutions without stop strings (EndAtStopString), as it was trained.
absl::StatusOr<std::vector<double>> ScoreRollouts(LeaderContext& leader, RewardModel* model,
                                                  std::vector<Rollout> rollouts);

// Adds the rewards of kind ORM to Rollout.reward, and each to Rollout.rewards, computed on the
// leader alone.
absl::Status AddOrmRewards(LeaderContext& leader, const RewardList& rewards,
                           std::vector<Rollout>* rollouts);

// Adds the rewards of kind ORM to the experiences made of these rollouts, and each to
// Rollout.rewards, on every rank; the ranks divide the work. A dense reward is given at the end of
// each solution step, as the rise of the probability since the end of the step before (from 0
// before the first). Its sum over the steps is that of a sparse one, and steps that change nothing
// earn nothing. (As far as known the paper gives the probability itself at each step, which pays
// for the number of steps.)
absl::Status AllRanksAddOrmRewards(RankContext& ranks, const RewardList& rewards,
                                   std::vector<Rollout>* rollouts,
                                   std::vector<Experience>* experiences);

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_ORM_REWARDS_H_
