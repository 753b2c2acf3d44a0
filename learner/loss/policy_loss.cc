#include "learner/loss/policy_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>

#include "learner/experience/kl.h"

namespace reckon {

PolicyLoss ClippedPolicyLoss(const PolicyLossInput& input, const PpoSettings::Clip& clip) {
  PolicyLoss out;
  const at::Tensor& advantages = input.advantages;
  const at::Tensor difference = input.logprobs - input.old_logprobs;
  // Far outside any clip range, but no infinity, which times an advantage of zero is not a number.
  const at::Tensor ratio = ClampedRatio(difference);
  at::Tensor clamped = IsClamped(difference);
  const at::Tensor unclipped = -advantages * ratio;
  const at::Tensor clipped =
      -advantages * at::clamp(ratio, 1 - clip.ratio_low(), 1 + clip.ratio_high());
  at::Tensor losses = at::maximum(unclipped, clipped);
  out.clipped = clipped.gt(unclipped).sum();
  if (clip.ratio_c() > 0) {
    const at::Tensor bound = -advantages * clip.ratio_c();
    const at::Tensor negative = advantages.lt(0);
    out.clipped_lower = negative.logical_and(losses.gt(bound)).sum();
    losses = at::where(negative, at::minimum(losses, bound), losses);
  }
  if (clip.importance_cap() > 0) {
    const at::Tensor mismatch = input.old_logprobs - input.behaviour_logprobs;
    const at::Tensor importance = at::clamp(ClampedRatio(mismatch), 0, clip.importance_cap());
    clamped = clamped.logical_or(IsClamped(mismatch));
    out.importance = importance.sum();
    losses = losses * importance;
  }
  out.clamped = clamped.sum();
  out.kl = -difference.detach().sum();
  out.loss = (losses * input.weights).sum();
  return out;
}

std::vector<float> TokenWeights(PpoSettings::LossAggMode mode, absl::Span<const int64_t> lengths,
                                int64_t max_tokens) {
  const auto tokens =
      static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  const auto count = static_cast<double>(lengths.size());
  std::vector<float> out;
  for (int64_t length : lengths) {
    double weight = 1 / std::max(1.0, tokens);
    if (mode == PpoSettings::SEQ_MEAN_TOKEN_MEAN) {
      weight = 1 / (count * static_cast<double>(std::max<int64_t>(1, length)));
    } else if (mode == PpoSettings::SEQ_MEAN_TOKEN_SUM_NORM) {
      weight = 1 / (count * static_cast<double>(std::max<int64_t>(1, max_tokens)));
    }
    out.push_back(static_cast<float>(weight));
  }
  return out;
}

}  // namespace reckon
