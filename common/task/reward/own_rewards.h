#ifndef RECKON_COMMON_TASK_REWARD_OWN_REWARDS_H_
#define RECKON_COMMON_TASK_REWARD_OWN_REWARDS_H_

#include <string>
#include <vector>

#include "common/task/dataset/problem.h"
#include "google/protobuf/message.h"
#include "proto/config.pb.h"
#include "proto/reward.pb.h"

namespace reckon {

// Whether the reward is the user's own: PROCESS or SERVICE (common/reward/rollout_scorer.h).
inline bool IsOwnReward(const RewardSpec& spec) {
  return spec.kind() == RewardSpec::PROCESS || spec.kind() == RewardSpec::SERVICE;
}

// All rewards that are set in a message and its submessages, as a config's stages and evaluations,
// in the order of their fields. The pointers live as long as the message.
std::vector<const RewardSpec*> AllRewards(const google::protobuf::Message& message);
// Those of them that are the user's own.
std::vector<const RewardSpec*> OwnRewards(const google::protobuf::Message& message);

// The different commands among them, in this order.
std::vector<std::string> RewardCommands(const google::protobuf::Message& message);

// What a run with resolved settings reads of its problems' answers.
AnswerUse AnswerUseOf(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_OWN_REWARDS_H_
