#include "cli/report/rollout_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

using Json = nlohmann::ordered_json;

Json SpansOf(const Rollout& rollout) {
  Json spans = Json::array();
  for (const TokenSpan& span : rollout.spans()) {
    Json& out = spans.emplace_back();
    out["kind"] = absl::AsciiStrToLower(TokenSpan::Kind_Name(span.kind()));
    if (span.kind() == TokenSpan::SAMPLED) out["weight_version"] = span.weight_version();
    out["tokens"] = std::vector<uint32_t>(span.tokens().begin(), span.tokens().end());
    if (span.logprobs_size() > 0) {
      out["logprobs"] = std::vector<float>(span.logprobs().begin(), span.logprobs().end());
    }
  }
  return spans;
}

Json RewardsOf(const Rollout& rollout) {
  Json rewards = Json::array();
  for (const RewardValue& reward : rollout.rewards()) {
    Json& out = rewards.emplace_back();
    out["name"] = reward.name();
    out["value"] = reward.value();
    out["verdict"] = absl::AsciiStrToLower(Verdict_Name(reward.verdict()));
    out["extracted"] = reward.extracted();
    if (reward.steps_size() == 0) continue;
    for (const StepValue& step : reward.steps()) {
      out["steps"].push_back(
          Json{{"end", step.end()}, {"token", step.token()}, {"value", step.value()}});
    }
  }
  return rewards;
}

// Whether a character of UTF-8 has begun at the end of `bytes` and is not whole.
bool EndsInACharacter(absl::string_view bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if (byte < 0x80) return false;
    if (byte >= 0xF8) return false;
    if (byte >= 0xC0) return back < (byte >= 0xF0 ? 4u : byte >= 0xE0 ? 3u : 2u);
  }
  return false;
}

}  // namespace

std::string VerdictOf(const Rollout& rollout) {
  if (rollout.rewards_size() == 0) return "";
  return absl::AsciiStrToLower(Verdict_Name(rollout.rewards(0).verdict()));
}

std::string FinishOf(const Rollout& rollout) {
  std::string name = absl::AsciiStrToLower(FinishReason_Name(rollout.finish()));
  return std::string(absl::StripPrefix(name, "finish_"));
}

std::string RolloutLine(const Rollout& rollout, const Tokenizer& tokenizer) {
  std::vector<uint32_t> prompt;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) continue;
    prompt.insert(prompt.end(), span.tokens().begin(), span.tokens().end());
  }
  const Json line = {{"plan", rollout.key().plan()},
                     {"group", rollout.key().group()},
                     {"sample", rollout.key().sample()},
                     {"actor", rollout.actor()},
                     {"finish", FinishOf(rollout)},
                     {"reward", rollout.reward()},
                     {"rewards", RewardsOf(rollout)},
                     {"prompt", tokenizer.Decode(prompt, /*skip_special=*/false)},
                     {"completion", rollout.completion()},
                     {"spans", SpansOf(rollout)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<std::string> TokenTexts(const std::vector<uint32_t>& tokens,
                                    const Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  std::string open;  // bytes of a character that is not whole
  for (const uint32_t token : tokens) {
    const absl::string_view bytes = tokenizer.TokenBytes(token);
    if (bytes.empty()) {
      texts.push_back(RepairUtf8(open) + tokenizer.Decode({token}, /*skip_special=*/false));
      open.clear();
      continue;
    }
    open.append(bytes.data(), bytes.size());
    if (EndsInACharacter(open)) {
      texts.emplace_back();
      continue;
    }
    texts.push_back(RepairUtf8(open));
    open.clear();
  }
  if (!open.empty() && !texts.empty()) texts.back() += RepairUtf8(open);
  return texts;
}

}  // namespace reckon
