#include "actor/engine/work.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

absl::Status CheckSampling(const SamplingParams& p) {
  if (p.max_new_tokens() == 0) return absl::OkStatus();  // nothing is drawn
  if (!(p.temperature() >= 0 && p.temperature() <= 1e6)) {
    return absl::InvalidArgumentError(absl::StrCat("sampling.temperature is ", p.temperature(),
                                                   "; it must be 0 (greedy) or more"));
  }
  if (p.temperature() > 0 && !(p.top_p() > 0 && p.top_p() <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling.top_p is ", p.top_p(), "; it must be above 0 and at most 1 (off)"));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const Group& group, const Policy& policy) {
  const SamplingParams& sampling = group.plan->sampling();
  if (group.num_prompt() == 0) return absl::InvalidArgumentError("the prompt has no tokens");
  if (sampling.max_new_tokens() == 0 && group.lease.item().forced_tokens().empty()) {
    return absl::InvalidArgumentError("neither tokens to sample nor forced tokens are asked for");
  }
  for (uint32_t token : group.context) {
    if (token < policy.vocab_size()) continue;
    return absl::InvalidArgumentError(absl::StrCat("token id ", token, " is outside the model's ",
                                                   "vocabulary of ", policy.vocab_size()));
  }
  const int64_t length = group.context.size();
  if (length > policy.max_positions() || (sampling.max_new_tokens() > 0 && group.max_new <= 0)) {
    return absl::InvalidArgumentError(absl::StrCat("prompt and forced tokens are ", length,
                                                   " and leave no room in the model's ",
                                                   policy.max_positions(), " positions"));
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(const Group& group, const Policy& policy) {
  int64_t pages = policy.PagesFor(0, group.num_shared());
  if (group.max_new > 0) pages += policy.PagesFor(group.num_shared(), group.max_tokens());
  if (pages <= policy.total_pages()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("one sample needs ", pages, " pages and the KV cache has ", policy.total_pages(),
                   " in all; raise the actor's kv_cache_mib or lower max_new_tokens"));
}

TokenSpan* AddSpan(TokenSpan::Kind kind, Rollout* rollout) {
  TokenSpan* span = rollout->add_spans();
  span->set_kind(kind);
  return span;
}

}  // namespace

Draw LiveSample::NextDraw() const {
  const SamplingParams& p = group->plan->sampling();
  Draw draw;
  draw.temperature = p.temperature();
  draw.top_k = p.top_k();
  draw.top_p = p.top_p();
  draw.uniform = rng.Uniform(group->context.size() - group->num_prompt() + tokens.size());
  if (label_left > 0) draw.forced = group->label()[group->label().size() - label_left];
  return draw;
}

bool LiveSample::Take(const Drawn& drawn, const Tokenizer& tokenizer, FinishReason* finish) {
  const SamplingParams& p = group->plan->sampling();
  tokens.push_back(drawn.token);
  logprobs.push_back(drawn.logprob);
  next = drawn.token;
  forced.push_back(label_left > 0);
  const absl::string_view bytes = tokenizer.TokenBytes(drawn.token);
  if (label_left > 0) {
    --label_left;
    text.Append(bytes, {});
  } else {
    *finish = FINISH_STOP;
    const auto& ids = p.stop_token_ids();
    if (std::find(ids.begin(), ids.end(), drawn.token) != ids.end()) return true;
    if (text.Append(bytes, p.stop_strings())) return true;
    if (bytes.find('\n') != absl::string_view::npos) label_left = group->label().size();
  }
  *finish = FINISH_LENGTH;
  return static_cast<int64_t>(tokens.size()) >= group->max_new;
}

absl::StatusOr<std::shared_ptr<Group>> MakeGroup(const Lease& lease,
                                                 std::shared_ptr<const PlanSpec> plan,
                                                 const Policy& policy) {
  auto group = std::make_shared<Group>();
  group->lease = lease;
  group->plan = std::move(plan);
  const WorkItem& item = lease.item();
  group->context.assign(item.prompt_tokens().begin(), item.prompt_tokens().end());
  group->context.insert(group->context.end(), item.forced_tokens().begin(),
                        item.forced_tokens().end());
  if (group->plan->sampling().max_new_tokens() > 0) {
    group->context.insert(group->context.end(), group->label().begin(), group->label().end());
  }
  group->pending.assign(lease.samples().begin(), lease.samples().end());
  group->max_new =
      std::min<int64_t>(group->plan->sampling().max_new_tokens(),
                        policy.max_positions() - static_cast<int64_t>(group->context.size()));
  group->max_new = std::max<int64_t>(group->max_new, 0);
  RETURN_IF_ERROR(CheckSampling(group->plan->sampling()));
  RETURN_IF_ERROR(CheckShape(*group, policy));
  RETURN_IF_ERROR(CheckMemory(*group, policy));
  return group;
}

Rollout MakeRollout(const Group& group, uint32_t sample, const LiveSample* sampled,
                    FinishReason finish, const Tokenizer& tokenizer) {
  Rollout rollout;
  const WorkItem& item = group.lease.item();
  rollout.mutable_key()->set_plan(group.lease.plan());
  rollout.mutable_key()->set_group(item.group());
  rollout.mutable_key()->set_sample(sample);
  rollout.set_finish(finish);
  *AddSpan(TokenSpan::PROMPT, &rollout)->mutable_tokens() = item.prompt_tokens();
  std::string text;
  const absl::Span<const uint32_t> forced =
      absl::MakeConstSpan(group.context).subspan(group.num_prompt());
  if (!forced.empty()) {
    TokenSpan* span = AddSpan(TokenSpan::FORCED, &rollout);
    span->mutable_tokens()->Add(forced.begin(), forced.end());
    for (uint32_t token : forced) {
      absl::string_view bytes = tokenizer.TokenBytes(token);
      text.append(bytes.data(), bytes.size());
    }
    if (group.plan->score_forced()) {
      span->mutable_logprobs()->Add(group.forced_logprobs.begin(), group.forced_logprobs.end());
      span->set_weight_version(group.lease.weight_version());
    }
  }
  if (sampled != nullptr) {
    TokenSpan* span = nullptr;
    for (size_t i = 0; i < sampled->tokens.size(); ++i) {
      const bool is_forced = sampled->forced[i];
      if (i == 0 || is_forced != sampled->forced[i - 1]) {
        span = AddSpan(is_forced ? TokenSpan::FORCED : TokenSpan::SAMPLED, &rollout);
        if (!is_forced) span->set_weight_version(group.lease.weight_version());
      }
      span->add_tokens(sampled->tokens[i]);
      if (!is_forced) span->add_logprobs(sampled->logprobs[i]);
    }
    text += sampled->text.text();
  }
  rollout.set_completion(RepairUtf8(text));
  return rollout;
}

}  // namespace reckon
