#include "learner/experience/experience.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "learner/experience/kl.h"

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
                          const google::protobuf::RepeatedPtrField<RewardSpec>& rewards) {
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
      if (!out.sequence.loss.back()) continue;
      out.end_in_place = span.logprobs().empty();
      out.behaviour_logprobs.push_back(out.end_in_place ? 0 : span.logprobs(i));
    }
    if (!sampled || span.tokens().empty()) continue;
    out.version = first ? span.weight_version() : std::min(out.version, span.weight_version());
    first = false;
  }
  // rollout.reward() counts every step, also those that were forced, which the policy did not earn.
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

uint32_t MarkFlatGroups(std::vector<Experience>* experiences) {
  uint32_t differing = 0;
  for (auto begin = experiences->begin(), end = begin; begin != experiences->end(); begin = end) {
    bool flat = true;
    for (end = begin; end != experiences->end() && end->group == begin->group; ++end) {
      flat = flat && end->reward == begin->reward;
    }
    for (auto sample = begin; sample != end; ++sample) sample->flat_group = flat;
    differing += flat ? 0 : 1;
  }
  return differing;
}

void ApplyOverlongPenalty(const PpoSettings& settings, Experience* experience) {
  if (settings.overlong().buffer_len() == 0) return;
  const double buffer = settings.overlong().buffer_len();
  const double over =
      static_cast<double>(experience->length()) - (settings.sampling().max_new_tokens() - buffer);
  experience->reward -= settings.overlong().penalty_factor() * std::clamp(over / buffer, 0.0, 1.0);
}

std::vector<Experience*> SamplesInLoss(const PpoSettings& settings,
                                       std::vector<Experience>* experiences) {
  std::vector<Experience*> out;
  uint32_t groups = 0;
  for (size_t i = 0; i < experiences->size(); ++i) {
    Experience& sample = (*experiences)[i];
    if (settings.filter().groups()) {
      if (sample.flat_group) continue;
      if (i == 0 || (*experiences)[i - 1].group != sample.group) groups += 1;
      if (groups > settings.prompts()) break;
    }
    if (sample.truncated && settings.filter().mask_truncated()) continue;
    if (sample.length() > 0) out.push_back(&sample);
  }
  return out;
}

std::map<uint64_t, double> GroupScores(const std::vector<Experience>& experiences) {
  std::map<uint64_t, std::pair<double, double>> sums;  // by group: sum and tokens
  for (const Experience& e : experiences) {
    auto& [sum, tokens] = sums[e.group];
    for (size_t t = 0; t < e.length(); ++t) {
      sum += std::abs(e.returns.empty() ? e.advantages[t] : e.returns[t] - e.old_values[t]);
    }
    tokens += static_cast<double>(e.length());
  }
  std::map<uint64_t, double> scores;
  for (const auto& [group, sum] : sums) scores[group] = sum.first / std::max(1.0, sum.second);
  return scores;
}

std::map<std::string, double> ExperienceMetrics(const std::vector<Experience>& experiences,
                                                uint64_t version) {
  std::map<std::string, double> out;
  if (experiences.empty()) return out;
  const auto samples = static_cast<double>(experiences.size());
  double reward = 0, squares = 0, tokens = 0, longest = 0, stale = 0, most_stale = 0;
  double mismatch = 0, scored_tokens = 0, scored_samples = 0, old_logprob = 0;
  std::map<uint64_t, std::pair<double, double>> spread;  // by group: least and greatest reward
  for (const Experience& e : experiences) {
    reward += e.reward;
    squares += e.reward * e.reward;
    const auto length = static_cast<double>(e.length());
    tokens += length;
    longest = std::max(longest, length);
    const auto staleness = static_cast<double>(version - std::min(version, e.version));
    stale += staleness;
    most_stale = std::max(most_stale, staleness);
    out["response_length/clip_ratio"] += e.truncated / samples;
    out[absl::StrCat("verdict/", absl::AsciiStrToLower(Verdict_Name(e.verdict)))] += 1 / samples;
    if (!e.recorded) {
      scored_samples += 1;
      scored_tokens += length;
    }
    for (size_t t = 0; t < e.old_logprobs.size(); ++t) {
      // k3 of KL(actor || learner): never negative, 0 where both computed the same.
      mismatch += KlEstimate(PpoSettings::Kl::K3, e.behaviour_logprobs[t], e.old_logprobs[t]);
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
  out["mismatch_kl"] = mismatch / std::max(1.0, scored_tokens);
  out["num_samples_scored"] = scored_samples;
  // Estimated from the samples: the mean of -log p over sampled tokens.
  out["actor/entropy"] = -old_logprob / std::max(1.0, tokens);
  out["num_samples"] = samples;
  out["num_tokens"] = tokens;
  return out;
}

}  // namespace reckon
