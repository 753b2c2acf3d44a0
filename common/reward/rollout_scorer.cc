#include "common/reward/rollout_scorer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/base/command_words.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "common/reward/process_reward.h"
#include "common/reward/service_reward.h"
#include "common/task/reward/own_rewards.h"
#include "proto/reward_service.pb.h"

namespace reckon {
namespace {

// Returns for each token of the completion the number of bytes up to its end.
std::vector<uint32_t> TokenEnds(const Rollout& rollout, const Tokenizer& tokenizer) {
  std::vector<uint32_t> ends;
  size_t bytes = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    for (uint32_t token : span.tokens()) {
      bytes += tokenizer.TokenBytes(token).size();
      ends.push_back(static_cast<uint32_t>(bytes));
    }
  }
  return ends;
}

// Sets the token that ends each solution step: the first one that reaches the step's last byte. One
// token may end a step and begin the next. A step whose end no token reaches, because the text was
// repaired or cut, gets the last token.
void FillStepTokens(const std::vector<uint32_t>& ends, RewardValue* value) {
  for (StepValue& step : *value->mutable_steps()) {
    auto reached = std::lower_bound(ends.begin(), ends.end(), step.end());
    if (reached == ends.end() && !ends.empty()) --reached;
    step.set_token(static_cast<uint32_t>(reached - ends.begin()));
  }
}

uint32_t CompletionTokens(const Rollout& rollout) {
  uint32_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) tokens += span.tokens_size();
  }
  return tokens;
}

ScoreRequest MakeRequest(const RewardSpec& spec, const ScoringJob& job) {
  const RolloutKey& key = job.rollout.key();
  const Reference& reference = job.item->reference();
  ScoreRequest request;
  request.set_id(absl::StrCat(key.plan(), "/", key.group(), "/", key.sample()));
  request.set_reward(spec.name());
  request.set_prompt(job.prompt);
  request.set_completion(job.rollout.completion());
  request.set_reference(reference.answer());
  request.set_solution(reference.solution());
  request.set_columns(reference.columns());
  request.set_tokens(CompletionTokens(job.rollout));
  request.set_truncated(job.rollout.finish() == FINISH_LENGTH);
  return request;
}

absl::Status OfReward(const RewardSpec& spec, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("reward '", spec.name(), "': ", status.message()));
}

}  // namespace

// A job while its rewards are computed. The thread that sets the last value finishes it.
struct RolloutScorer::Pending {
  ScoringJob job;
  absl::Mutex mu;
  std::vector<RewardPool::Result> results ABSL_GUARDED_BY(mu);  // by reward
  int missing ABSL_GUARDED_BY(mu) = 0;
};

void FillTexts(const Tokenizer& tokenizer, ScoringJob* job) {
  job->token_ends = TokenEnds(job->rollout, tokenizer);
  if (!absl::c_any_of(job->plan->rewards(), IsOwnReward)) return;
  std::vector<uint32_t> tokens;
  for (const TokenSpan& span : job->rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) continue;
    tokens.insert(tokens.end(), span.tokens().begin(), span.tokens().end());
  }
  job->prompt = tokenizer.Decode(tokens, /*skip_special=*/false);
}

RolloutScorer::RolloutScorer(Options options) : options_(std::move(options)) {}

RolloutScorer::~RolloutScorer() {
  std::map<std::string, std::unique_ptr<RewardPool>> pools;
  {
    absl::MutexLock lock(&mu_);
    pools.swap(pools_);
  }
}

void RolloutScorer::Add(ScoringJob job) {
  {
    absl::MutexLock lock(&mu_);
    ++pending_;
  }
  auto pending = std::make_shared<Pending>();
  pending->job = std::move(job);
  const auto& specs = pending->job.plan->rewards();
  {
    absl::MutexLock lock(&pending->mu);
    // One more than there are, so that it is not finished before all have been asked.
    pending->missing = specs.size() + 1;
    pending->results.resize(specs.size(), {absl::InternalError("not computed"), {}});
  }
  for (int i = 0; i < specs.size(); ++i) {
    if (IsOwnReward(specs[i])) {
      AddOwn(pending, i);
    } else {
      SetValue(pending, i,
               {options_.rewarder->Score(specs[i], *pending->job.item, pending->job.rollout), {}});
    }
  }
  SetValue(pending, specs.size(), {absl::InternalError("all were asked"), {}});
}

void RolloutScorer::AddOwn(const std::shared_ptr<Pending>& pending, int index) {
  const RewardSpec& spec = pending->job.plan->rewards(index);
  absl::StatusOr<RewardPool*> pool = PoolOf(spec);
  absl::Status added = pool.status();
  if (added.ok()) {
    added = (*pool)->Add(MakeRequest(spec, pending->job),
                         [this, pending, index](RewardPool::Result result) {
                           SetValue(pending, index, std::move(result));
                         });
  }
  if (!added.ok()) SetValue(pending, index, {added, {}});
}

void RolloutScorer::SetValue(const std::shared_ptr<Pending>& pending, int index,
                             RewardPool::Result result) {
  {
    absl::MutexLock lock(&pending->mu);
    if (index < static_cast<int>(pending->results.size())) {
      pending->results[index] = std::move(result);
    }
    if (--pending->missing > 0) return;
  }
  Finish(*pending);
}

void RolloutScorer::Finish(Pending& pending) {
  ScoringJob& job = pending.job;
  double sum = 0;
  {
    absl::MutexLock lock(&pending.mu);
    for (int i = 0; i < job.plan->rewards_size(); ++i) {
      const RewardSpec& spec = job.plan->rewards(i);
      absl::StatusOr<RewardValue>& value = pending.results[i].value;
      for (RewardFailure failure : pending.results[i].failures) {
        job.failures.emplace_back(RewardFailureName(failure));
        if (value.ok()) value->add_failures(job.failures.back());
      }
      if (value.ok() && !std::isfinite(value->value() * spec.weight())) {
        value = absl::InvalidArgumentError("its value times its weight is not finite");
      }
      if (!value.ok()) {
        job.status.Update(OfReward(spec, value.status()));
        continue;
      }
      value->set_name(spec.name());
      FillStepTokens(job.token_ends, &*value);
      sum += spec.weight() * value->value();
      *job.rollout.add_rewards() = *std::move(value);
    }
  }
  job.rollout.set_reward(job.status.ok() ? sum : 0);
  {
    absl::MutexLock lock(&mu_);
    scored_.push_back(std::move(job));
  }
  options_.notify();
}

std::vector<ScoringJob> RolloutScorer::TakeScored() {
  absl::MutexLock lock(&mu_);
  pending_ -= static_cast<int64_t>(scored_.size());
  return std::exchange(scored_, {});
}

int64_t RolloutScorer::pending() const {
  absl::MutexLock lock(&mu_);
  return pending_;
}

absl::StatusOr<RewardPool*> RolloutScorer::PoolOf(const RewardSpec& spec) {
  RewardSpec same = spec;
  same.clear_weight();
  absl::MutexLock lock(&mu_);
  std::unique_ptr<RewardPool>& pool = pools_[same.SerializeAsString()];
  if (pool != nullptr) return pool.get();
  RewardPool::Options options;
  options.spec = spec;
  options.on_failure = options_.on_failure;
  if (spec.kind() == RewardSpec::SERVICE) {
    ASSIGN_OR_RETURN(
        const std::shared_ptr<grpc::Channel> channel,
        MakeChannel(spec.address(), spec.plain_text() ? Security::PlainText() : options_.security,
                    Service::kReward));
    options.make_worker = [channel, spec] {
      return std::make_unique<ServiceReward>(channel, spec);
    };
  } else if (!absl::c_linear_search(options_.commands, spec.command())) {
    return absl::FailedPreconditionError(
        absl::StrCat("this actor was not started for the command \"", spec.command(),
                     "\"; name it in --reward_commands"));
  } else {
    ASSIGN_OR_RETURN(const std::vector<std::string> argv, SplitCommand(spec.command()));
    options.make_worker = [argv, spec] { return std::make_unique<ProcessReward>(argv, spec); };
  }
  pool = std::make_unique<RewardPool>(std::move(options));
  return pool.get();
}

std::string RolloutScorer::failing() const {
  absl::MutexLock lock(&mu_);
  for (const auto& [spec, pool] : pools_) {
    if (pool == nullptr) continue;
    if (std::string why = pool->failing(); !why.empty()) return why;
  }
  return "";
}

void RolloutScorer::Forgive() {
  absl::MutexLock lock(&mu_);
  for (const auto& [spec, pool] : pools_) {
    if (pool != nullptr) pool->Forgive();
  }
}

std::string RolloutScorer::waiting_for() const {
  absl::MutexLock lock(&mu_);
  for (const auto& [spec, pool] : pools_) {
    if (pool == nullptr) continue;
    if (std::string what = pool->waiting_for(); !what.empty()) return what;
  }
  return "";
}

}  // namespace reckon
