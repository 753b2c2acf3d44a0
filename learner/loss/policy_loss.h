#ifndef RECKON_LEARNER_LOSS_POLICY_LOSS_H_
#define RECKON_LEARNER_LOSS_POLICY_LOSS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"

namespace reckon {

struct PolicyLossOptions {
  // Ratios outside 1 - low .. 1 + high gain nothing more (Schulman et al. 2017, eq. 7; DAPO sets
  // high to 0.28).
  double clip_ratio_low = 0.2, clip_ratio_high = 0.2;
  // Bound of the loss of tokens with a negative advantage, as a multiple of it (dual-clip, Ye et
  // al. 2020; verl's clip_ratio_c, 3 there). 0: off.
  double clip_ratio_c = 0;
  // Truncated importance sampling (Yao et al. 2025): tokens are weighted by min(old / behaviour,
  // cap), not differentiated, for what actor and learner compute differently and for stale samples
  // (decoupled PPO, AReaL: `old` is then the policy before this batch's updates). 0: off.
  double importance_cap = 0;
};

// Of the sampled tokens of some sequences, one behind the other: [n] fp32 each.
struct PolicyLossInput {
  at::Tensor logprobs;            // under the policy; differentiable
  at::Tensor old_logprobs;        // under the policy before this batch's updates
  at::Tensor behaviour_logprobs;  // as the actor recorded them; used with importance_cap alone
  at::Tensor advantages;
  at::Tensor weights;  // of TokenWeights
};

struct PolicyLoss {
  at::Tensor loss;  // scalar; its sum over all tokens of the batch is the batch's loss
  // Sums over tokens, for the caller to divide.
  double clipped = 0;        // tokens whose gain was cut
  double clipped_lower = 0;  // tokens that clip_ratio_c bounded
  double kl = 0;             // k1 estimates of KL(old || policy)
  double importance = 0;     // weights of truncated importance sampling
};

// -w min(r A, clip(r) A), with the options above.
PolicyLoss ClippedPolicyLoss(const PolicyLossInput& input, const PolicyLossOptions& options);

// How tokens share in the loss of a batch of N sequences (verl's loss_agg_mode). As weights of
// tokens, so that micro-batches and ranks only add up.
enum class LossAggMode {
  kTokenMean,           // 1 / tokens of the batch (DAPO)
  kSeqMeanTokenMean,    // 1 / (N tokens of the sequence) (GRPO)
  kSeqMeanTokenSumNorm  // 1 / (N max_tokens) (Dr. GRPO)
};
// Weight of a token of each sequence. `lengths`: sampled tokens of every sequence of the batch.
std::vector<float> TokenWeights(LossAggMode mode, absl::Span<const int64_t> lengths,
                                int64_t max_tokens);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_POLICY_LOSS_H_
