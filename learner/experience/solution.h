#ifndef RECKON_LEARNER_EXPERIENCE_SOLUTION_H_
#define RECKON_LEARNER_EXPERIENCE_SOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/text/tokenizer.h"
#include "learner/data/training_sequence.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Solutions as a reward model reads them: recorded tokens, and where their steps end.

struct Solution {
  std::vector<uint32_t> tokens;
  size_t prompt = 0;  // how many of them are the prompt
};

Solution SolutionOf(const Rollout& rollout);

// Which tokens end a solution step: those that contain a newline, and the last one of a completion.
// The actor uses the same rule where it forces step labels. Immutable.
class StepTokens {
 public:
  explicit StepTokens(const Tokenizer& tokenizer);

  bool EndsStep(uint32_t token) const { return token < ends_.size() && ends_[token]; }

  // For each step of the completion tokens[prompt, size): how many completion tokens there are up
  // to its end. Empty for an empty completion.
  std::vector<size_t> EndsOf(const std::vector<uint32_t>& tokens, size_t prompt) const;

 private:
  std::vector<bool> ends_;  // by token
};

// The sequence from whose hidden states a reward model predicts. It predicts after the prompt and
// after each token of the completion or, with `steps`, after those that end a step. A prediction is
// made at the row before a token whose `loss` is set, so one token is appended for the last one;
// the rows before it do not see it.
TrainingSequence PredictionSequence(const Solution& solution, float target,
                                    const StepTokens* steps);

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_SOLUTION_H_
