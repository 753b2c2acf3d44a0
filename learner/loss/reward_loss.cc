#include "learner/loss/reward_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>

#include <algorithm>

#include "common/model/device_memory.h"

namespace reckon {

at::Tensor RewardLossSum(OrmSettings::Loss loss, const at::Tensor& logits,
                         const at::Tensor& labels) {
  if (loss == OrmSettings::MSE) return (at::sigmoid(logits) - labels).square().sum();
  return (at::softplus(logits) - labels * logits).sum();
}

void RewardLoss::Begin(absl::Span<const TrainingSequence* const> batch) {
  batch_ = batch;
  int64_t prefixes = 0;
  for (const TrainingSequence* sequence : batch) prefixes += LossTokens(*sequence);
  scale_ = 1 / static_cast<double>(std::max<int64_t>(1, prefixes));
}

at::Tensor RewardLoss::Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                          const TokenStates& states) {
  const at::Tensor logits = head_.Forward(states.hidden);
  at::Tensor labels = at::empty({micro.loss_tokens}, at::kFloat);
  auto* next = labels.data_ptr<float>();
  for (size_t i = 0; i < sequences.size(); ++i) {
    next = std::fill_n(next, micro.counts[i], batch_[sequences[i]]->target);
  }
  return RewardLossSum(loss_, logits, SendToDevice(labels, logits.device())) * scale_;
}

}  // namespace reckon
