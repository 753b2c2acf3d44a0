#ifndef RECKON_LEARNER_ORM_SOLUTION_H_
#define RECKON_LEARNER_ORM_SOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "learner/orm/step_tokens.h"
#include "learner/update/training_sequence.h"
#include "proto/rollout.pb.h"

namespace reckon {

// What a reward model judges: recorded tokens, the first `prompt` of them given.
struct Solution {
  std::vector<uint32_t> tokens;
  size_t prompt = 0;
};

Solution SolutionOf(const Rollout& rollout);

// A sequence whose predicting rows are the prefixes that are judged: the prompt, and the completion
// behind each of its tokens or, with `steps`, behind those that end one. A row predicts a token
// that follows, so one is added at the end; nothing before it can see it.
TrainingSequence JudgedSequence(const Solution& solution, float target, const StepTokens* steps);

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_SOLUTION_H_
