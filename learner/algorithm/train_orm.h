#ifndef RECKON_LEARNER_ALGORITHM_TRAIN_ORM_H_
#define RECKON_LEARNER_ALGORITHM_TRAIN_ORM_H_

#include <memory>
#include <vector>

#include "learner/algorithm/algorithm.h"
#include "learner/orm/reward_head.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// Outcome reward model (Cobbe et al. 2021): samples solutions from the policy, records them as a
// selection, trains a transformer with a head to predict which are right, measures it on problems
// that were held out, and writes it to <run>/orm/<stage>. The transformer is trained in the
// policy's place, which is loaded again afterwards.
class TrainOrm : public Algorithm {
 public:
  explicit TrainOrm(OrmSettings settings) : settings_(std::move(settings)) {}
  int64_t rounds() const override { return 1; }
  bool updates_policy() const override { return false; }
  absl::Status Begin(LearnerContext& context) override;
  absl::Status Round(LearnerContext& context) override;

 private:
  // Rank 0: the selection's solutions, those to learn and those held out.
  absl::Status Collect(LearnerContext& context, std::vector<TrainingSequence>* learned,
                       std::vector<TrainingSequence>* held_out) const;
  absl::Status Measure(LearnerContext& context, std::vector<TrainingSequence> held_out);
  absl::Status Write(LearnerContext& context) const;

  const OrmSettings settings_;
  std::unique_ptr<RewardHead> head_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_TRAIN_ORM_H_
