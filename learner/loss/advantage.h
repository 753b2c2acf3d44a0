#ifndef RECKON_LEARNER_LOSS_ADVANTAGE_H_
#define RECKON_LEARNER_LOSS_ADVANTAGE_H_

#include <vector>

#include "absl/types/span.h"
#include "proto/config.pb.h"

namespace reckon {

// Advantages of sampled tokens. Pure functions on the host, summed in double.

struct Advantages {
  std::vector<float> advantages, returns;  // one a token
};

// Generalized advantage estimation over the completion of one sample (Schulman et al. 2016, eq.
// 16):
//   delta_t = r_t + gamma V_{t+1} - V_t        V after the last token is 0: the episode ends there
//   A_t     = delta_t + gamma lambda A_{t+1}
//   R_t     = A_t + V_t                        before any whitening, as in trlX and TRL
// `rewards` and `values`: one a token.
Advantages Gae(absl::Span<const float> rewards, absl::Span<const float> values, double gamma,
               double lambda);

// Advantages of the K >= 2 samples of one prompt from their rewards, one a sample, with m the mean:
//   GRPO     (r - m) / (s + 1e-6), s with K - 1 in the denominator (DeepSeekMath, section 4.1.2)
//   DR_GRPO  r - m (Liu et al. 2025: dividing by s prefers prompts whose rewards differ little)
//   RLOO     r - mean of the other K - 1 (Ahmadian et al. 2024)
// GAE is not one of these: a CHECK.
std::vector<float> GroupAdvantages(absl::Span<const double> rewards,
                                   PpoSettings::Advantage::Estimator estimator);

// Replaces every x of all vectors together by (x - mean) / sqrt(var + 1e-8), var with n in the
// denominator (trlX).
void Whiten(absl::Span<std::vector<float>* const> values);

// 1 - Var[returns - values] / Var[returns]: 1 for a perfect critic, 0 for one that is constant, and
// 0 when the returns do not vary.
double ExplainedVariance(absl::Span<const float> values, absl::Span<const float> returns);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_ADVANTAGE_H_
