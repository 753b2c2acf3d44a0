#include "learner/data/selected_rollouts.h"

#include "common/base/rng.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {

bool SeenSolutions::Insert(size_t problem, const std::string& completion) {
  if (rule_ == EiSettings::NONE) return true;
  const std::string key = rule_ == EiSettings::TEXT ? completion : EquationKey(completion);
  return seen_.insert(StreamKey(problem, key)).second;
}

TrainingSequence Splice(const std::vector<uint32_t>& prompt, const Rollout& rollout) {
  TrainingSequence sequence = MakeSequence(prompt, {});
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    for (uint32_t token : span.tokens()) {
      sequence.loss.push_back(span.kind() == TokenSpan::SAMPLED && !sequence.tokens.empty());
      sequence.tokens.push_back(token);
    }
  }
  return sequence;
}

}  // namespace reckon
