#include "common/task/prompt/stop_string.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace reckon {
namespace {

bool EndedByStopString(absl::Span<const uint32_t> end_tokens, const Rollout& rollout) {
  if (rollout.finish() != FINISH_STOP || rollout.spans().empty()) return false;
  const TokenSpan& last = *rollout.spans().rbegin();
  return last.kind() != TokenSpan::PROMPT && !last.tokens().empty() &&
         std::find(end_tokens.begin(), end_tokens.end(), *last.tokens().rbegin()) ==
             end_tokens.end();
}

}  // namespace

bool EndAtStopString(const Tokenizer& tokenizer, absl::Span<const uint32_t> end_tokens,
                     Rollout* rollout) {
  if (end_tokens.empty() || !EndedByStopString(end_tokens, *rollout)) return false;
  // The completion ends before the stop string.
  const size_t end = absl::StripTrailingAsciiWhitespace(rollout->completion()).size();
  size_t bytes = 0;
  uint32_t kept = 0;
  bool cut = false;
  uint64_t version = 0;
  for (TokenSpan& span : *rollout->mutable_spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    if (span.kind() == TokenSpan::SAMPLED) version = span.weight_version();
    int keep = 0;
    for (; !cut && keep < span.tokens_size(); ++keep) {
      bytes += tokenizer.TokenBytes(span.tokens(keep)).size();
      cut = bytes > end;
      if (cut) break;
    }
    kept += static_cast<uint32_t>(keep);
    span.mutable_tokens()->Truncate(keep);
    if (span.logprobs_size() > keep) span.mutable_logprobs()->Truncate(keep);
  }
  TokenSpan* last = rollout->add_spans();
  last->set_kind(TokenSpan::SAMPLED);
  last->set_weight_version(version);
  last->add_tokens(end_tokens.front());
  for (RewardValue& reward : *rollout->mutable_rewards()) {
    for (StepValue& step : *reward.mutable_steps()) step.set_token(std::min(step.token(), kept));
  }
  return true;
}

}  // namespace reckon
