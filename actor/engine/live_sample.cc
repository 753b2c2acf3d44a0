#include "actor/engine/live_sample.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "common/text/utf8.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

TokenSpan* AddSpan(TokenSpan::Kind kind, Rollout* rollout) {
  TokenSpan* span = rollout->add_spans();
  span->set_kind(kind);
  return span;
}

}  // namespace

LiveSample::LiveSample(std::shared_ptr<PromptGroup> group, uint32_t number,
                       ModelRunner::Sequence sequence, uint64_t id)
    : group_(std::move(group)),
      number_(number),
      sequence_(sequence),
      id_(id),
      begin_(absl::Now()),
      key_(StreamKey(group_->plan->seed(), group_->lease.plan(), group_->lease.item().group(),
                     number)),
      rng_(key_),
      last_token_(group_->context.back()) {}

bool LiveSample::MayStartRow() const {
  if (started_ == 0) return true;
  if (static_cast<int64_t>(tokens_.size()) + started_ >= group_->max_new) return false;
  // A label may begin with the token that is not known, and its tokens have log-probabilities only
  // if the row before was told of them.
  return group_->step_label().empty() || !group_->plan->score_forced();
}

ModelRunner::Row LiveSample::NextRow() {
  const SamplingParams& sampling = group_->plan->sampling();
  // The position in the completion, forced tokens included: a sample whose first tokens are given
  // draws the same numbers for the rest as one that sampled them.
  const uint64_t place = group_->context.size() - group_->num_prompt() + tokens_.size() + started_;
  ModelRunner::Row row = {.sequence = sequence_, .token = last_token_, .draws = true};
  row.draw = {.temperature = sampling.temperature(),
              .top_k = sampling.top_k(),
              .top_p = sampling.top_p(),
              .uniform = rng_.Uniform(place),
              .ranked = group_->ranked};
  row.stream = key_;
  row.place = place;
  // The label's tokens are taken one a pass, because each must be in the cache before the next
  // token is drawn.
  const auto label = [&](int64_t left) { return *(group_->step_label().end() - left); };
  CHECK_LE(started_, 1);
  if (started_ == 1) row.token = label_left_ > 0 ? label(label_left_) : ModelRunner::kDrawn;
  if (label_left_ > started_) row.draw.forced = label(label_left_ - started_);
  ++started_;
  return row;
}

std::vector<uint32_t> LiveSample::FedTokens() const {
  std::vector<uint32_t> fed;
  if (tokens_.empty()) return fed;  // the last of the context is not in a pass yet
  fed.push_back(group_->context.back());
  fed.insert(fed.end(), tokens_.begin(), tokens_.end() - 1);
  return fed;
}

FinishReason LiveSample::Append(DrawnToken drawn, uint64_t version, const Tokenizer& tokenizer) {
  --started_;
  const bool forced = label_left_ > 0;
  // A row that was started before its label was known has drawn another token.
  last_token_ = forced ? *(group_->step_label().end() - label_left_) : drawn.token;
  versions_.push_back(version);
  tokens_.push_back(last_token_);
  logprobs_.push_back(drawn.logprob);
  if (group_->ranked > 0) ranked_.push_back(std::move(drawn.ranked));
  forced_.push_back(forced);
  const absl::string_view bytes = tokenizer.TokenBytes(last_token_);
  if (forced) {
    --label_left_;
    // Without stops: a stop string that only the label completes would end every sample at its
    // first solution step.
    text_.Append(bytes, {});
  } else {
    const auto& stop_ids = group_->plan->stop_token_ids();
    const bool stop_id = std::find(stop_ids.begin(), stop_ids.end(), last_token_) != stop_ids.end();
    // A stop token is part of the tokens, which are learned, and not of the text, which is scored.
    // A stop string is cut from the text alone: a token may hold more than the stop.
    if (stop_id || text_.Append(bytes, group_->plan->stop_strings())) return FINISH_STOP;
    if (bytes.find('\n') != absl::string_view::npos) label_left_ = group_->step_label().size();
  }
  // After the stops, so that a sample whose last allowed token is a stop counts as finished and not
  // as truncated.
  const bool full = static_cast<int64_t>(tokens_.size()) >= group_->max_new;
  return full ? FINISH_LENGTH : FINISH_UNSPECIFIED;
}

Rollout MakeRollout(const PromptGroup& group, uint32_t number, const LiveSample* sampled,
                    FinishReason finish, const Tokenizer& tokenizer) {
  Rollout rollout;
  const WorkItem& item = group.lease.item();
  rollout.mutable_key()->set_plan(group.lease.plan());
  rollout.mutable_key()->set_group(item.group());
  rollout.mutable_key()->set_sample(number);
  rollout.set_finish(finish);
  *AddSpan(TokenSpan::PROMPT, &rollout)->mutable_tokens() = item.prompt_tokens();
  std::string text;
  const absl::Span<const uint32_t> forced =
      absl::MakeConstSpan(group.context).subspan(group.num_prompt());
  if (!forced.empty()) {
    TokenSpan* span = AddSpan(TokenSpan::FORCED, &rollout);
    span->mutable_tokens()->Add(forced.begin(), forced.end());
    for (uint32_t token : forced) {
      const absl::string_view bytes = tokenizer.TokenBytes(token);
      text.append(bytes.data(), bytes.size());
    }
    if (group.plan->score_forced()) {
      span->mutable_logprobs()->Add(group.forced_logprobs.begin(), group.forced_logprobs.end());
      span->set_weight_version(group.lease.weight_version());
    }
  }
  if (sampled != nullptr) {
    TokenSpan* span = nullptr;
    for (size_t i = 0; i < sampled->tokens_.size(); ++i) {
      const bool is_forced = sampled->forced_[i];
      // A span is a run of tokens of one kind and version; the learner trains on SAMPLED ones
      // alone.
      if (i == 0 || is_forced != sampled->forced_[i - 1] ||
          (!is_forced && sampled->versions_[i] != sampled->versions_[i - 1])) {
        span = AddSpan(is_forced ? TokenSpan::FORCED : TokenSpan::SAMPLED, &rollout);
      }
      span->add_tokens(sampled->tokens_[i]);
      if (is_forced && !group.plan->score_forced()) continue;
      span->set_weight_version(sampled->versions_[i]);
      span->add_logprobs(sampled->logprobs_[i]);
    }
    text += sampled->text_.text();
  }
  // The length limit may cut a character of several tokens in two, and a string field of protobuf
  // must be valid UTF-8.
  rollout.set_completion(RepairUtf8(text));
  return rollout;
}

}  // namespace reckon
