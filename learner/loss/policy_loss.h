#ifndef RECKON_LEARNER_LOSS_POLICY_LOSS_H_
#define RECKON_LEARNER_LOSS_POLICY_LOSS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "proto/config.pb.h"

namespace reckon {

// The sampled tokens of some sequences, one sequence after another: [n] fp32 each.
struct PolicyLossInput {
  at::Tensor logprobs;            // under the policy; differentiable
  at::Tensor old_logprobs;        // under the policy before this step's optimizer steps
  at::Tensor behaviour_logprobs;  // as the actor recorded them; used only with importance_cap
  at::Tensor advantages;
  at::Tensor weights;  // of TokenWeights
};

struct PolicyLoss {
  at::Tensor loss;  // scalar; the losses of the parts of a batch add up to the batch's loss
  // Sums over tokens, for the caller to divide: scalars on the device, because reading one waits
  // for it. Undefined: the settings do not ask for it.
  at::Tensor clipped;        // tokens whose gain was cut
  at::Tensor clipped_lower;  // tokens that ratio_c bounded
  at::Tensor clamped;        // tokens with a log-ratio beyond kMaxLogRatio (kl.h)
  at::Tensor kl;             // K1 estimates of KL(old || policy)
  at::Tensor importance;     // weights of truncated importance sampling
};

// The clipped policy loss, with r = exp(log policy - log old), A the advantage, w the token's
// weight:
//   l = max(-A r, -A clip(r, 1 - ratio_low, 1 + ratio_high))     (PPO, Schulman et al. 2017, eq. 7;
//                                                                 DAPO sets ratio_high to 0.28)
//   l = min(l, -A ratio_c) where A < 0, if ratio_c > 0           (dual clip, Ye et al. 2020)
//   l = l min(exp(log old - log behaviour), importance_cap), if importance_cap > 0: truncated
//       importance sampling (Yao et al. 2025), for what actor and learner compute differently and
//       for stale samples (decoupled PPO: AReaL). The factor is not differentiated.
// Log-ratios are clamped before exp, see kl.h.
//   loss = sum of w l
PolicyLoss ClippedPolicyLoss(const PolicyLossInput& input, const PpoSettings::Clip& clip);

// The weight of a token of each sequence in the loss of a batch of N sequences, as verl's
// loss_agg_mode. Weights rather than means, so that micro-batches and ranks only add up.
//   TOKEN_MEAN              1 / tokens of the batch (DAPO)
//   SEQ_MEAN_TOKEN_MEAN     1 / (N tokens of the sequence) (GRPO)
//   SEQ_MEAN_TOKEN_SUM_NORM 1 / (N max_tokens) (Dr. GRPO)
// `lengths`: sampled tokens of every sequence of the batch.
std::vector<float> TokenWeights(PpoSettings::LossAggMode mode, absl::Span<const int64_t> lengths,
                                int64_t max_tokens);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_POLICY_LOSS_H_
