#include "learner/algorithm/rollout_stream.h"

#include <algorithm>
#include <numeric>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/run_plan.h"

namespace reckon {

RolloutStream::RolloutStream(LearnerContext& context, const PpoSettings& settings)
    : context_(&context), settings_(settings), name_(context.stage().name()) {
  if (settings_.backtrack_steps() > 0) {
    backtracking_.emplace(settings_, *context.data->prompt, *context.data->tokenizer);
  }
  if (settings_.replay_ratio() > 0) {
    replay_.emplace(settings_, StreamKey(context.config.seed(), "replay/" + name_),
                    context.cursor.replay);
  }
}

absl::StatusOr<std::unique_ptr<RolloutStream>> RolloutStream::Open(LearnerContext& context,
                                                                   const PpoSettings& settings) {
  auto stream = absl::WrapUnique(new RolloutStream(context, settings));
  PlanSpec spec = MakePlan(context, *context.data->prompt, settings.sampling());
  spec.set_name(stream->name_);
  spec.set_samples_per_group(settings.samples_per_prompt());
  spec.set_groups_per_batch(settings.prompts());
  spec.set_max_open_batches(settings.max_staleness() + 1);
  AddRewards(settings.reward(), &spec);
  ASSIGN_OR_RETURN(const OpenPlanReply opened, context.plans->Open(spec));
  stream->appended_ = opened.appended_groups();
  stream->batch_ = context.cursor.batches;
  return stream;
}

absl::StatusOr<std::vector<Rollout>> RolloutStream::Next(int64_t step) {
  if (replay_.has_value()) Draw(step);
  if (batch_ > context_->cursor.batches) {  // nothing was learned from the batch before
    RETURN_IF_ERROR(context_->plans->MarkApplied(name_, batch_ - 1, context_->cursor.version));
  }
  const int64_t ahead = std::min<int64_t>(1 + settings_.max_staleness(), settings_.steps() - step);
  RETURN_IF_ERROR(AppendTo((batch_ + ahead) * settings_.prompts(), step));
  ASSIGN_OR_RETURN(std::optional<BatchHeader> header, context_->plans->NextHeader(name_, batch_));
  if (!header.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("plan '", name_, "' ended before step ", step));
  }
  batch_ += 1;
  std::vector<RolloutKey> keys;
  for (const RolloutHeader& rollout : header->rollouts()) keys.push_back(rollout.key());
  return context_->plans->Fetch(keys);
}

absl::Status RolloutStream::Applied(uint64_t version) {
  return context_->plans->MarkApplied(name_, context_->cursor.batches - 1, version);
}

absl::Status RolloutStream::Durable() {
  return context_->plans->MarkDurable(name_, context_->cursor.batches - 1,
                                      /*keep_rollouts=*/true);
}

absl::Status RolloutStream::Close() { return context_->plans->Close(name_); }

absl::Status RolloutStream::AppendTo(uint64_t groups, int64_t step) {
  if (appended_ >= groups) return absl::OkStatus();
  std::vector<WorkItem> items;
  for (uint64_t group = appended_; group < groups; ++group) {
    const Problem& problem = context_->data->train[ProblemOf(group)];
    WorkItem& item = items.emplace_back(MakeWorkItem(*context_->data->prompt, problem, group));
    if (!backtracking_.has_value()) continue;
    const int64_t ahead = static_cast<int64_t>(group / settings_.prompts()) - batch_;
    for (uint32_t token : backtracking_->Prefix(problem.solution, step + ahead)) {
      item.add_forced_tokens(token);
    }
  }
  RETURN_IF_ERROR(
      context_->plans->Append(name_, appended_, std::move(items), /*end_of_plan=*/false));
  appended_ = groups;
  return absl::OkStatus();
}

size_t RolloutStream::ProblemOf(uint64_t group) {
  return replay_.has_value() ? drawn_[group % settings_.prompts()] : InTurn(group);
}

size_t RolloutStream::InTurn(uint64_t place) {
  const std::vector<Problem>& problems = context_->data->train;
  const auto pass = static_cast<int64_t>(place / problems.size());
  if (pass != pass_) {
    pass_ = pass;
    order_.resize(problems.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    Shuffle(order_, StreamKey(context_->config.seed(), "prompts/" + name_, pass));
  }
  return order_[place % problems.size()];
}

void RolloutStream::Draw(int64_t step) {
  drawn_.clear();
  fresh_ = 0;
  for (const PromptReplay::Choice& choice : replay_->Draw(step)) {
    drawn_.push_back(choice.replayed ? choice.problem : InTurn(replay_->state().fresh + fresh_++));
  }
}

void RolloutStream::Learned(int64_t step, const std::map<uint64_t, double>& score_of_group) {
  if (!replay_.has_value()) return;
  std::vector<double> scores;
  for (uint64_t i = 0; i < drawn_.size(); ++i) {
    const auto at = score_of_group.find(static_cast<uint64_t>(step) * settings_.prompts() + i);
    scores.push_back(at == score_of_group.end() ? 0 : at->second);
  }
  replay_->Learned(step, drawn_, scores, fresh_);
  context_->cursor.replay = replay_->state();
}

void RolloutStream::AddMetrics(int64_t step, std::map<std::string, double>* metrics) const {
  if (backtracking_.has_value()) {
    (*metrics)["curriculum/prefix_share"] = backtracking_->ShareAt(step);
  }
  if (replay_.has_value()) {
    (*metrics)["curriculum/replayed"] =
        1 - static_cast<double>(fresh_) / static_cast<double>(drawn_.size());
  }
}

}  // namespace reckon
