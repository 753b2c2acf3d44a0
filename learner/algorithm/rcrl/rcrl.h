#ifndef RECKON_LEARNER_ALGORITHM_RCRL_RCRL_H_
#define RECKON_LEARNER_ALGORITHM_RCRL_RCRL_H_

#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/rcrl/labels.h"
#include "learner/data/training_sequence.h"
#include "learner/experience/reward_model.h"

namespace reckon {

// Return-conditioned RL (paper, section 3):
//
//   1. Read the selected rollouts of an earlier stage.
//   2. Let the reward model predict after each token whether the solution ends in the right answer.
//   3. Label each solution step good or bad by the prediction at its end, or by its rise over the
//      step (LabelSteps).
//   4. Insert the label's token before each step (InsertLabels); leave out what is too long then.
//   5. Leave samples out until the share of good steps is good_ratio (BalanceLabels).
//   6. Add the worked solutions of earlier sft stages, all steps good (include_sft_data).
//   7. Load the version that restart_from names and fine-tune it on these.
//
// Evaluations of the policy force the good label before each step: that conditions it on the
// return.
class Rcrl : public Algorithm {
 public:
  Rcrl(const RunConfig& config, int stage)
      : Algorithm(config, stage), settings_(this->stage().rcrl()) {}

  std::vector<uint32_t> StepLabel(const RunData& data) const override;
  absl::Status Round(RankContext& ranks) override;

 private:
  // Steps 1 to 4.
  absl::StatusOr<std::vector<LabelledSequence>> LabelSelection(LeaderContext& leader,
                                                               RewardModel* model) const;
  // Of step 6, with their labels.
  std::vector<LabelledSequence> LabelWorked(LeaderContext& leader, const StepTokens& steps) const;
  // Steps 1 to 6, and a report of the labels. FAILED_PRECONDITION when nothing is left, or no good
  // step, which evaluations would ask the policy for.
  absl::StatusOr<std::vector<TrainingSequence>> Collect(LeaderContext& leader) const;

  const RcrlSettings& settings_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_RCRL_RCRL_H_
