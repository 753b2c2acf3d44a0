#include "coordinator/core/rollout_check.h"

#include <cmath>
#include <vector>

#include "absl/hash/hash.h"
#include "coordinator/core/request_check.h"

namespace reckon {
namespace {

absl::Status CheckSpan(const PlanSpec& spec, int index, const TokenSpan& span) {
  const int tokens = span.tokens_size();
  const int logprobs = span.logprobs_size();
  if (tokens == 0) return BadRequest("span ", index, " is empty");
  bool wanted = false;
  switch (span.kind()) {
    case TokenSpan::PROMPT:
      break;
    case TokenSpan::FORCED:
      // A plan that does not ask for them accepts them, but then of every token of the span.
      wanted = spec.score_forced() || logprobs > 0;
      break;
    case TokenSpan::SAMPLED:
      wanted = true;
      break;
    default:
      return BadRequest("span ", index, " has no known kind");
  }
  if (logprobs != (wanted ? tokens : 0)) {
    return BadRequest("span ", index, " has ", logprobs, " logprobs for ", tokens, " tokens");
  }
  for (float logprob : span.logprobs()) {
    // Rounding can make it a little larger than zero.
    if (!std::isfinite(logprob) || logprob > 1e-3f) {
      return BadRequest("span ", index, " has log-probability ", logprob);
    }
  }
  return absl::OkStatus();
}

// Step values are in order of their tokens, which are tokens of the rollout.
absl::Status CheckSteps(const RewardValue& value, uint32_t tokens) {
  uint32_t before = 0;
  for (const StepValue& step : value.steps()) {
    if (!std::isfinite(step.value()) || step.token() >= tokens || step.token() < before) {
      return BadRequest("reward '", value.name(), "' has a step at token ", step.token(),
                        " of value ", step.value());
    }
    before = step.token();
  }
  return absl::OkStatus();
}

template <typename Tokens>
bool PromptEquals(const Rollout& rollout, const Tokens& want) {
  int at = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) continue;
    for (uint32_t token : span.tokens()) {
      if (at >= want.size() || want[at] != token) return false;
      ++at;
    }
  }
  return at == want.size();
}

}  // namespace

absl::Status ParseRollout(absl::string_view bytes, Rollout* rollout) {
  // A rollout that is too large is parsed all the same: the reply must name its key, or the actor
  // would send it for ever.
  if (rollout->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    if (bytes.size() <= kMaxRolloutBytes) return absl::OkStatus();
    return BadRequest("rollout of ", bytes.size(), " bytes, above ", kMaxRolloutBytes);
  }
  // The key of a damaged rollout may hold bytes that no reply can carry.
  if (!CheckName("key.plan", rollout->key().plan()).ok()) rollout->clear_key();
  return BadRequest("rollout is not a serialized reckon.Rollout");
}

absl::Status CheckRollout(const PlanSpec& spec, const Rollout& rollout) {
  if (rollout.spans_size() == 0) return BadRequest("the rollout has no spans");
  for (int i = 0; i < rollout.spans_size(); ++i) {
    absl::Status status = CheckSpan(spec, i, rollout.spans(i));
    if (!status.ok()) return status;
    // The learner reads spans in their order: what was sampled follows the whole prompt.
    if (i > 0 && rollout.spans(i).kind() == TokenSpan::PROMPT &&
        rollout.spans(i - 1).kind() != TokenSpan::PROMPT) {
      return BadRequest("span ", i, " is of the prompt, and follows tokens of the completion");
    }
  }
  if (CountSampledTokens(rollout) > spec.sampling().max_new_tokens()) {
    return BadRequest(CountSampledTokens(rollout), " sampled tokens, above max_new_tokens ",
                      spec.sampling().max_new_tokens());
  }
  if (!FinishReason_IsValid(rollout.finish()) || rollout.finish() == FINISH_UNSPECIFIED) {
    return BadRequest("the rollout has no finish reason");
  }
  if (!std::isfinite(rollout.reward())) {
    return BadRequest("the rollout's reward is ", rollout.reward(), ", which is not finite");
  }
  if (rollout.rewards_size() != spec.rewards_size()) {
    return BadRequest(rollout.rewards_size(), " rewards, the plan has ", spec.rewards_size());
  }
  for (int i = 0; i < spec.rewards_size(); ++i) {
    const RewardValue& value = rollout.rewards(i);
    if (value.name() != spec.rewards(i).name()) {
      return BadRequest("reward ", i, " is '", value.name(), "', not '", spec.rewards(i).name(),
                        "'");
    }
    if (!std::isfinite(value.value()))
      return BadRequest("reward '", value.name(), "' is not finite");
    absl::Status steps = CheckSteps(value, CountTokens(rollout));
    if (!steps.ok()) return steps;
  }
  return absl::OkStatus();
}

absl::Status CheckAgainstItem(const PlanSpec& spec, const WorkItem& item, const Rollout& rollout) {
  if (!PromptEquals(rollout, item.prompt_tokens())) {
    return BadRequest("prompt tokens are not those of group ", item.group());
  }
  // Step labels follow the item's forced tokens; the length limit may cut the last label short.
  const auto& label = spec.step_label_tokens();
  const int from_item = item.forced_tokens_size();
  int at = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::FORCED) continue;
    for (uint32_t token : span.tokens()) {
      const bool expected = at < from_item  ? token == item.forced_tokens(at)
                            : label.empty() ? false
                                            : token == label[(at - from_item) % label.size()];
      if (!expected) return BadRequest("forced tokens are not those of group ", item.group());
      ++at;
    }
  }
  // Fewer forced tokens than the item has would be a sample of another context.
  if (at < from_item) return BadRequest("forced tokens are not those of group ", item.group());
  return absl::OkStatus();
}

uint64_t Fingerprint(const Rollout& rollout) {
  uint64_t hash = absl::HashOf(rollout.finish(), rollout.spans_size());
  for (const TokenSpan& span : rollout.spans()) {
    // The bytes of the arrays, because equal rollouts must be equal bit by bit: two
    // log-probabilities that differ in the last place come from computations that differ.
    const absl::string_view tokens(reinterpret_cast<const char*>(span.tokens().data()),
                                   span.tokens_size() * sizeof(uint32_t));
    const absl::string_view logprobs(reinterpret_cast<const char*>(span.logprobs().data()),
                                     span.logprobs_size() * sizeof(float));
    hash =
        absl::HashOf(hash, static_cast<int>(span.kind()), span.weight_version(), tokens, logprobs);
  }
  return hash;
}

VersionRange SampledVersions(const Rollout& rollout) {
  VersionRange range;
  bool any = false;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::SAMPLED) continue;
    const uint64_t version = span.weight_version();
    range.oldest = any ? std::min(range.oldest, version) : version;
    range.newest = any ? std::max(range.newest, version) : version;
    any = true;
  }
  return range;
}

uint32_t CountTokens(const Rollout& rollout) {
  uint32_t count = 0;
  for (const TokenSpan& span : rollout.spans()) count += span.tokens_size();
  return count;
}

uint32_t CountSampledTokens(const Rollout& rollout) {
  uint32_t count = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) count += span.tokens_size();
  }
  return count;
}

}  // namespace reckon
