#include "learner/loss/advantage.h"

#include <cmath>

#include "common/base/log.h"

namespace reckon {
namespace {

struct Moments {
  double mean = 0, sum_of_squares = 0;  // of the distances from the mean
  size_t count = 0;

  void Add(double value) {  // Welford 1962
    ++count;
    const double delta = value - mean;
    mean += delta / static_cast<double>(count);
    sum_of_squares += delta * (value - mean);
  }
};

}  // namespace

Advantages Gae(absl::Span<const float> rewards, absl::Span<const float> values, double gamma,
               double lambda) {
  CHECK_EQ(rewards.size(), values.size());
  Advantages out;
  out.advantages.resize(rewards.size());
  out.returns.resize(rewards.size());
  double next_value = 0, next_advantage = 0;
  for (size_t t = rewards.size(); t-- > 0;) {
    const double delta = rewards[t] + gamma * next_value - values[t];
    next_advantage = delta + gamma * lambda * next_advantage;
    next_value = values[t];
    out.advantages[t] = static_cast<float>(next_advantage);
    out.returns[t] = static_cast<float>(next_advantage + next_value);
  }
  return out;
}

std::vector<float> GroupAdvantages(absl::Span<const double> rewards,
                                   PpoSettings::Advantage::Estimator estimator) {
  CHECK_NE(estimator, PpoSettings::Advantage::GAE);
  CHECK_GE(rewards.size(), 2u);
  Moments moments;
  for (double reward : rewards) moments.Add(reward);
  const auto count = static_cast<double>(rewards.size());
  double scale = 1;
  if (estimator == PpoSettings::Advantage::GRPO) {
    scale = 1 / (std::sqrt(moments.sum_of_squares / (count - 1)) + 1e-6);
  } else if (estimator == PpoSettings::Advantage::RLOO) {
    scale = count / (count - 1);  // r - (sum - r) / (K - 1) = (r - mean) K / (K - 1)
  }
  std::vector<float> out;
  for (double reward : rewards) {
    out.push_back(static_cast<float>((reward - moments.mean) * scale));
  }
  return out;
}

void Whiten(absl::Span<std::vector<float>* const> values) {
  Moments moments;
  for (const std::vector<float>* part : values) {
    for (float value : *part) moments.Add(value);
  }
  if (moments.count == 0) return;
  const double scale =
      1 / std::sqrt(moments.sum_of_squares / static_cast<double>(moments.count) + 1e-8);
  for (std::vector<float>* part : values) {
    for (float& value : *part) value = static_cast<float>((value - moments.mean) * scale);
  }
}

double ExplainedVariance(absl::Span<const float> values, absl::Span<const float> returns) {
  CHECK_EQ(values.size(), returns.size());
  Moments all, left;
  for (size_t i = 0; i < values.size(); ++i) {
    all.Add(returns[i]);
    left.Add(double{returns[i]} - values[i]);
  }
  return all.sum_of_squares > 0 ? 1 - left.sum_of_squares / all.sum_of_squares : 0;
}

}  // namespace reckon
