#include "learner/algorithm/experience.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reckon {

std::vector<int64_t> SampledIndices(const Rollout& rollout) {
  std::vector<int64_t> indices;
  int64_t next = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    const bool sampled = span.kind() == TokenSpan::SAMPLED;
    for (int i = 0; i < span.tokens_size(); ++i) indices.push_back(sampled ? next++ : -1);
  }
  return indices;
}

Experience MakeExperience(const Rollout& rollout,
                          const google::protobuf::RepeatedPtrField<RewardSettings>& rewards) {
  Experience out;
  out.group = rollout.key().group();
  out.reward = rollout.reward();
  for (const RewardValue& reward : rollout.rewards()) {
    if (out.verdict == VERDICT_UNSPECIFIED) out.verdict = reward.verdict();
  }
  out.truncated = rollout.finish() == FINISH_LENGTH;
  bool first = true;
  for (const TokenSpan& span : rollout.spans()) {
    const bool sampled = span.kind() == TokenSpan::SAMPLED;
    for (int i = 0; i < span.tokens_size(); ++i) {
      out.sequence.loss.push_back(sampled && !out.sequence.tokens.empty());
      out.sequence.tokens.push_back(span.tokens(i));
      if (out.sequence.loss.back()) out.behaviour_logprobs.push_back(span.logprobs(i));
    }
    if (!sampled || span.tokens().empty()) continue;
    out.version = first ? span.weight_version() : std::min(out.version, span.weight_version());
    first = false;
  }
  out.step_rewards.resize(out.behaviour_logprobs.size());
  const std::vector<int64_t> sampled_at = SampledIndices(rollout);
  for (int i = 0; i < std::min(rollout.rewards_size(), rewards.size()); ++i) {
    for (const StepValue& step : rollout.rewards(i).steps()) {
      if (step.token() >= sampled_at.size()) continue;
      const double earned = rewards[i].weight() * step.value();
      if (sampled_at[step.token()] < 0) {
        out.reward -= earned;
      } else {
        out.step_rewards[sampled_at[step.token()]] += static_cast<float>(earned);
      }
    }
  }
  return out;
}

std::map<uint64_t, double> GroupScores(const std::vector<Experience>& step) {
  std::map<uint64_t, std::pair<double, double>> sums;  // and tokens
  for (const Experience& e : step) {
    auto& [sum, tokens] = sums[e.group];
    for (size_t t = 0; t < e.length(); ++t) {
      sum += std::abs(e.returns.empty() ? e.advantages[t] : e.returns[t] - e.old_values[t]);
    }
    tokens += static_cast<double>(e.length());
  }
  std::map<uint64_t, double> scores;
  for (const auto& [group, of] : sums) scores[group] = of.first / std::max(1.0, of.second);
  return scores;
}

std::map<std::string, double> ExperienceMetrics(const std::vector<Experience>& step,
                                                uint64_t version) {
  std::map<std::string, double> out;
  if (step.empty()) return out;
  const auto samples = static_cast<double>(step.size());
  double reward = 0, squares = 0, tokens = 0, longest = 0, stale = 0, most_stale = 0;
  double mismatch = 0, old_logprob = 0;
  std::map<uint64_t, std::pair<double, double>> spread;  // of a group's rewards
  for (const Experience& e : step) {
    reward += e.reward;
    squares += e.reward * e.reward;
    const auto length = static_cast<double>(e.length());
    tokens += length;
    longest = std::max(longest, length);
    const auto behind = static_cast<double>(version - std::min(version, e.version));
    stale += behind;
    most_stale = std::max(most_stale, behind);
    out["response_length/clip_ratio"] += e.truncated / samples;
    out[absl::StrCat("verdict/", absl::AsciiStrToLower(Verdict_Name(e.verdict)))] += 1 / samples;
    for (size_t t = 0; t < e.old_logprobs.size(); ++t) {
      // k3 of KL(actor || learner): never negative, 0 where both computed the same.
      const double d = double{e.behaviour_logprobs[t]} - e.old_logprobs[t];
      mismatch += std::expm1(-d) + d;
      old_logprob += e.old_logprobs[t];
    }
    auto [range, is_new] = spread.try_emplace(e.group, e.reward, e.reward);
    range->second.first = std::min(range->second.first, e.reward);
    range->second.second = std::max(range->second.second, e.reward);
  }
  double flat = 0;
  for (const auto& [group, range] : spread) flat += range.first == range.second;
  out["reward"] = reward / samples;
  out["reward_std"] =
      std::sqrt(std::max(0.0, squares / samples - reward / samples * reward / samples));
  out["frac_reward_zero_std"] = flat / static_cast<double>(spread.size());
  out["response_length/mean"] = tokens / samples;
  out["response_length/max"] = longest;
  out["staleness/mean"] = stale / samples;
  out["staleness/max"] = most_stale;
  out["mismatch_kl"] = mismatch / std::max(1.0, tokens);
  // Of the sampled distribution, estimated from the samples.
  out["actor/entropy"] = -old_logprob / std::max(1.0, tokens);
  out["num_samples"] = samples;
  out["num_tokens"] = tokens;
  return out;
}

}  // namespace reckon
