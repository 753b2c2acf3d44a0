#include "learner/report/reward_metrics.h"

namespace reckon {

void RewardMetrics::Add(const Rollout& rollout) {
  for (const RewardValue& reward : rollout.rewards()) {
    Sum& sum = sums_[reward.name()];
    sum.value += reward.value();
    sum.count += 1;
    for (const std::string& failure : reward.failures()) failures_[failure] += 1;
  }
}

std::map<std::string, double> RewardMetrics::Values() const {
  std::map<std::string, double> values;
  for (const auto& [name, sum] : sums_) values["reward/" + name] = sum.value / sum.count;
  for (const auto& [name, count] : failures_) values["reward_failures/" + name] = count;
  return values;
}

}  // namespace reckon
