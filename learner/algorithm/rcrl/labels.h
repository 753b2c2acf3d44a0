#ifndef RECKON_LEARNER_ALGORITHM_RCRL_LABELS_H_
#define RECKON_LEARNER_ALGORITHM_RCRL_LABELS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "learner/data/training_sequence.h"
#include "learner/experience/solution.h"
#include "proto/config.pb.h"

namespace reckon {

// The labels of return-conditioned RL. Pure functions.

// The tokens that label a solution step.
struct LabelTokens {
  uint32_t good = 0, bad = 0;
};

// A sample with its labels inserted, and how many steps have each.
struct LabelledSequence {
  TrainingSequence sequence;
  int64_t good = 0, bad = 0;
};

// Returns for each solution step whether it is good:
//
//   PROBABILITY   p[end]              >= threshold
//   RISE          p[end] - p[start]   >= threshold
//
// where p[t] is the probability after t completion tokens, `end` is the step's entry of `ends`, and
// `start` the end of the step before, 0 for the first.
std::vector<bool> LabelSteps(const RcrlSettings& settings, const std::vector<size_t>& ends,
                             const std::vector<float>& probabilities);

// Inserts a label before each step of the completion, which begins at token `prompt`. Labels are
// not learned. Steps beyond the last entry of `good` get its label; an empty `good` inserts
// nothing.
LabelledSequence InsertLabels(const TrainingSequence& sequence, size_t prompt,
                              const std::vector<bool>& good, const StepTokens& steps,
                              LabelTokens labels);

// good / (good + bad); 0 without labels.
double GoodShare(int64_t good, int64_t bad);

// Leaves samples out, in an order drawn by `key`, each if that brings the share of good steps
// nearer to `ratio`. Does nothing for ratio 0.
void BalanceLabels(double ratio, uint64_t key, std::vector<LabelledSequence>* samples);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_RCRL_LABELS_H_
