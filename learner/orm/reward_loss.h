#ifndef RECKON_LEARNER_ORM_REWARD_LOSS_H_
#define RECKON_LEARNER_ORM_REWARD_LOSS_H_

#include <vector>

#include "learner/orm/reward_head.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"

namespace reckon {

// Mean over the judged prefixes of a batch of BCE or squared error between the predicted
// probability and whether the solution ends in the right answer (Cobbe et al. 2021, appendix E).
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

// Sum over [n] logits and labels in [0, 1].
at::Tensor RewardLossSum(OrmSettings::Loss loss, const at::Tensor& logits,
                         const at::Tensor& labels);

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_REWARD_LOSS_H_
