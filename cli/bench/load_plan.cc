#include "cli/bench/load_plan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

constexpr int kPromptTokens = 64;
constexpr uint32_t kToken = 1000;       // two bytes on the wire, as most tokens of a text
constexpr int kBytesPerToken = 2 + 4;   // with its log-probability
constexpr double kSecondsInFlight = 2;  // of samples that are leased, or in batches not applied

}  // namespace

LoadPlan::LoadPlan(size_t rollout_bytes, double rate) {
  spec_.set_name("load");
  spec_.set_samples_per_group(kSamples);
  spec_.set_groups_per_batch(kGroups);
  const double batches = kSecondsInFlight * rate / (kSamples * kGroups);
  spec_.set_max_open_batches(4 + static_cast<uint32_t>(std::ceil(batches)));
  spec_.mutable_sampling()->set_temperature(1);
  spec_.mutable_sampling()->set_top_p(1);
  RewardSpec* reward = spec_.add_rewards();
  reward->set_name("exact");
  reward->set_kind(RewardSpec::EXACT_MATCH_STRICT);
  reward->set_weight(1);

  for (int i = 0; i < kPromptTokens; ++i) item_.add_prompt_tokens(kToken + i);
  item_.mutable_reference()->set_answer("18");

  Rollout rollout;
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  *prompt->mutable_tokens() = item_.prompt_tokens();
  TokenSpan* sampled = rollout.add_spans();
  sampled->set_kind(TokenSpan::SAMPLED);
  rollout.set_finish(FINISH_STOP);
  RewardValue* value = rollout.add_rewards();
  value->set_name("exact");
  value->set_value(1);
  value->set_verdict(CORRECT);
  rollout.set_reward(1);
  // A token takes about three bytes of text beside its own: two thirds of what is left are tokens.
  const size_t room = rollout_bytes - std::min(rollout_bytes, rollout.ByteSizeLong() + 32);
  const uint32_t tokens = std::max<uint32_t>(1, room * 2 / 3 / kBytesPerToken);
  for (uint32_t i = 0; i < tokens; ++i) {
    sampled->add_tokens(kToken + i % 1000);
    sampled->add_logprobs(-0.25f);
  }
  const size_t with_tokens = rollout.ByteSizeLong() + 32;
  rollout.set_completion(std::string(rollout_bytes - std::min(rollout_bytes, with_tokens), 'x'));
  spec_.mutable_sampling()->set_max_new_tokens(tokens);
  body_ = rollout.SerializeAsString();
}

WorkItem LoadPlan::Item(uint64_t group) const {
  WorkItem item = item_;
  item.set_group(group);
  return item;
}

std::string LoadPlan::RolloutOf(uint64_t group, uint32_t sample) const {
  Rollout key;
  key.mutable_key()->set_plan(spec_.name());
  key.mutable_key()->set_group(group);
  key.mutable_key()->set_sample(sample);
  // Serialized messages that follow each other are one message with the fields of both.
  return absl::StrCat(key.SerializeAsString(), body_);
}

}  // namespace reckon
