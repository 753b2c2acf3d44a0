#include "learner/experience/solution.h"

namespace reckon {

Solution SolutionOf(const Rollout& rollout) {
  Solution out;
  for (const TokenSpan& span : rollout.spans()) {
    out.tokens.insert(out.tokens.end(), span.tokens().begin(), span.tokens().end());
    if (span.kind() == TokenSpan::PROMPT) out.prompt = out.tokens.size();
  }
  return out;
}

StepTokens::StepTokens(const Tokenizer& tokenizer) : ends_(tokenizer.vocab_size()) {
  for (uint32_t id = 0; id < ends_.size(); ++id) {
    ends_[id] = tokenizer.TokenBytes(id).find('\n') != absl::string_view::npos;
  }
}

std::vector<size_t> StepTokens::EndsOf(const std::vector<uint32_t>& tokens, size_t prompt) const {
  std::vector<size_t> ends;
  for (size_t i = prompt; i < tokens.size(); ++i) {
    if (i + 1 == tokens.size() || EndsStep(tokens[i])) ends.push_back(i + 1 - prompt);
  }
  return ends;
}

TrainingSequence PredictionSequence(const Solution& solution, float target,
                                    const StepTokens* steps) {
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
