#include "learner/orm/solution.h"

namespace reckon {

Solution SolutionOf(const Rollout& rollout) {
  Solution out;
  for (const TokenSpan& span : rollout.spans()) {
    out.tokens.insert(out.tokens.end(), span.tokens().begin(), span.tokens().end());
    if (span.kind() == TokenSpan::PROMPT) out.prompt = out.tokens.size();
  }
  return out;
}

TrainingSequence JudgedSequence(const Solution& solution, float target, const StepTokens* steps) {
  TrainingSequence out;
  out.target = target;
  out.tokens = solution.tokens;
  out.tokens.push_back(solution.tokens.empty() ? 0 : solution.tokens.back());
  out.loss.assign(out.tokens.size(), false);
  if (steps == nullptr) {
    for (size_t i = solution.prompt; i < out.loss.size(); ++i) out.loss[i] = true;
  } else {
    if (solution.prompt < out.loss.size()) out.loss[solution.prompt] = true;
    for (size_t end : steps->EndsOf(solution.tokens, solution.prompt)) {
      out.loss[solution.prompt + end] = true;
    }
  }
  out.loss[0] = false;
  return out;
}

}  // namespace reckon
