#ifndef RECKON_LEARNER_LOSS_REWARD_LOSS_H_
#define RECKON_LEARNER_LOSS_REWARD_LOSS_H_

#include <vector>

#include "learner/experience/reward_head.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"

namespace reckon {

// The loss of an outcome reward model: the mean over all scored prefixes of a batch of the error
// between the predicted probability p and the label y, which is 1 if the whole solution has the
// right answer (Cobbe et al. 2021, appendix E: every token predicts the outcome).
//   BCE  -y log p - (1 - y) log(1 - p)      MSE  (p - y)^2
// One thread; `head` must outlive it.
class RewardLoss : public SequenceLoss {
 public:
  RewardLoss(OrmSettings::Loss loss, const RewardHead* head) : loss_(loss), head_(*head) {}

  void Begin(absl::Span<const TrainingSequence* const> batch) override;
  at::Tensor Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                const TokenStates& states) override;
  TokenQuery query() const override { return {.logprobs = false}; }

 private:
  const OrmSettings::Loss loss_;
  const RewardHead& head_;
  absl::Span<const TrainingSequence* const> batch_;
  double scale_ = 0;
};

// The sum of these errors, [n] logits and [n] labels in [0, 1] -> scalar.
at::Tensor RewardLossSum(OrmSettings::Loss loss, const at::Tensor& logits,
                         const at::Tensor& labels);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_REWARD_LOSS_H_
