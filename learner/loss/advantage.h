#ifndef RECKON_LEARNER_LOSS_ADVANTAGE_H_
#define RECKON_LEARNER_LOSS_ADVANTAGE_H_

#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Advantages of sampled tokens, on the host, added up in double. Pure functions.

struct Advantages {
  std::vector<float> advantages, returns;  // one a token
};

// Generalised advantage estimation over the response tokens of one sample (Schulman et al. 2016):
// delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lambda A_{t+1}; 0 follows the last
// token, which ends the episode. Returns are A + V, before any whitening (trlX, TRL).
Advantages Gae(absl::Span<const float> rewards, absl::Span<const float> values, double gamma,
               double lambda);

// Of a group of samples of one prompt, one each, from their rewards.
enum class GroupBaseline {
  kGrpo,    // (r - mean) / (std + 1e-6), std with K - 1 below (DeepSeekMath, eq. 3; TRL, verl)
  kDrGrpo,  // r - mean (Liu et al. 2025: the division prefers prompts of little spread)
  kRloo,    // r - mean of the others (Ahmadian et al. 2024)
};
// At least two rewards.
std::vector<float> GroupAdvantages(absl::Span<const double> rewards, GroupBaseline baseline);

// (x - mean) / sqrt(var + 1e-8) over all of `values` in place, var with n below (trlX).
void Whiten(absl::Span<std::vector<float>* const> values);

// 1 - Var[returns - values] / Var[returns]: 1 is a perfect critic, 0 one that knows nothing. 0 when
// the returns do not vary.
double ExplainedVariance(absl::Span<const float> values, absl::Span<const float> returns);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_ADVANTAGE_H_
