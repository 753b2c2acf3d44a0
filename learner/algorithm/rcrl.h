#ifndef RECKON_LEARNER_ALGORITHM_RCRL_H_
#define RECKON_LEARNER_ALGORITHM_RCRL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "learner/algorithm/algorithm.h"
#include "learner/orm/step_tokens.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// Return-conditioned RL (paper, section 3): fine-tunes on the selected samples of an earlier stage
// with a label in front of each step that says whether the reward model finds it good. Evaluations
// of the policy that it makes force the good label there.
class Rcrl : public Algorithm {
 public:
  explicit Rcrl(RcrlSettings settings) : settings_(std::move(settings)) {}
  int64_t rounds() const override { return 1; }
  absl::Status Round(LearnerContext& context) override;

 private:
  absl::StatusOr<std::vector<TrainingSequence>> Collect(LearnerContext& context) const;

  const RcrlSettings settings_;
};

// A sample with its labels in it, and how many of each there are.
struct LabelledSequence {
  TrainingSequence sequence;
  int64_t good = 0, bad = 0;
};

// Puts a label in front of each step of the completion, which begins at token `prompt`; labels are
// not learned. Step i is good if good[i]; steps beyond take the last one's label.
LabelledSequence LabelSteps(const TrainingSequence& sequence, size_t prompt,
                            const std::vector<bool>& good, const StepTokens& steps,
                            uint32_t good_label, uint32_t bad_label);

// Whether each step is good, from the probabilities behind 0, 1 ... completion tokens and the
// steps' ends, as settings.label_by and threshold say.
std::vector<bool> JudgeSteps(const RcrlSettings& settings, const std::vector<size_t>& ends,
                             const std::vector<float>& probabilities);

// Leaves samples out, in an order drawn from `key`, as long as that brings the share of good steps
// nearer to `ratio`. 0: none.
void BalanceLabels(double ratio, uint64_t key, std::vector<LabelledSequence>* samples);

// What the newest policy is sampled with: the good label, when an rcrl stage made it.
std::vector<uint32_t> ForcedStepLabel(const LearnerContext& context);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_RCRL_H_
