#include "learner/data/selected_rollouts.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "common/base/rng.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

// It stopped, but not at a token that ends a training sequence.
bool EndedByStopString(const TrainingSequence& sequence, const Rollout& rollout,
                       const SpliceOptions& options) {
  if (rollout.finish() != FINISH_STOP || sequence.tokens.empty()) return false;
  return std::find(options.stop_token_ids.begin(), options.stop_token_ids.end(),
                   sequence.tokens.back()) == options.stop_token_ids.end();
}

}  // namespace

bool SeenSolutions::Insert(size_t problem, const std::string& completion) {
  if (rule_ == EiSettings::NONE) return true;
  const std::string key = rule_ == EiSettings::TEXT ? completion : EquationKey(completion);
  return seen_.insert(StreamKey(problem, key)).second;
}

TrainingSequence Splice(const std::vector<uint32_t>& prompt, const Rollout& rollout,
                        const SpliceOptions& options) {
  TrainingSequence sequence = MakeSequence(prompt, {});
  auto append = [&](uint32_t token, bool learned) {
    sequence.loss.push_back(learned && !sequence.tokens.empty());
    sequence.tokens.push_back(token);
  };
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    for (uint32_t token : span.tokens()) append(token, span.kind() == TokenSpan::SAMPLED);
  }
  if (!EndedByStopString(sequence, rollout, options)) return sequence;

  // rollout.completion() ends before the stop string.
  size_t end = absl::StripTrailingAsciiWhitespace(rollout.completion()).size();
  size_t kept = prompt.size(), bytes = 0;
  while (kept < sequence.tokens.size()) {
    bytes += options.tokenizer->TokenBytes(sequence.tokens[kept]).size();
    if (bytes > end) break;
    ++kept;
  }
  sequence.tokens.resize(kept);
  sequence.loss.resize(kept);
  if (!options.stop_token_ids.empty()) append(options.stop_token_ids.front(), true);
  return sequence;
}

}  // namespace reckon
