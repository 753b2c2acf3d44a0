#include "learner/report/reward_metrics.h"

namespace reckon {

void RewardMetrics::Add(const Rollout& rollout, const std::string& set) {
  for (const RewardValue& reward : rollout.rewards()) {
    Sum& sum = sums_[reward.name()];
    sum.value += reward.value();
    sum.count += 1;
    for (const std::string& failure : reward.failures()) failures_[failure] += 1;
  }
  if (set.empty()) return;
  OfSet& of_set = sets_[set];
  of_set.reward.value += rollout.reward();
  of_set.reward.count += 1;
  for (const RewardValue& reward : rollout.rewards()) {
    if (reward.verdict() == VERDICT_UNSPECIFIED) continue;
    of_set.right.value += reward.verdict() == CORRECT ? 1 : 0;
    of_set.right.count += 1;
    break;  // the first that tells
  }
}

std::map<std::string, double> RewardMetrics::Values() const {
  std::map<std::string, double> values;
  for (const auto& [name, sum] : sums_) values["reward/" + name] = sum.value / sum.count;
  for (const auto& [name, count] : failures_) values["reward_failures/" + name] = count;
  for (const auto& [name, set] : sets_) {
    values["set/" + name + "/num_samples"] = set.reward.count;
    values["set/" + name + "/reward"] = set.reward.value / set.reward.count;
    if (set.right.count > 0) {
      values["set/" + name + "/right_ratio"] = set.right.value / set.right.count;
    }
  }
  return values;
}

}  // namespace reckon
