#include "learner/algorithm/rollout_stream.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/run_plan.h"

namespace reckon {

RolloutStream::RolloutStream(LearnerContext& context, const PpoSettings& settings)
    : context_(&context), settings_(settings), name_(context.stage().name()) {}

absl::StatusOr<RolloutStream> RolloutStream::Open(LearnerContext& context,
                                                  const PpoSettings& settings) {
  RolloutStream stream(context, settings);
  PlanSpec spec = MakePlan(context, *context.data->prompt, settings.sampling());
  spec.set_name(stream.name_);
  spec.set_samples_per_group(settings.samples_per_prompt());
  spec.set_groups_per_batch(settings.prompts());
  spec.set_max_open_batches(settings.max_staleness() + 1);
  AddRewards(settings.reward(), &spec);
  ASSIGN_OR_RETURN(const OpenPlanReply opened, context.plans->Open(spec));
  stream.appended_ = opened.appended_groups();
  return stream;
}

absl::StatusOr<std::vector<Rollout>> RolloutStream::Next(int64_t step) {
  const uint64_t ahead = static_cast<uint64_t>(step) + 1 + settings_.max_staleness();
  RETURN_IF_ERROR(AppendTo(std::min<uint64_t>(ahead, settings_.steps()) * settings_.prompts()));
  ASSIGN_OR_RETURN(std::optional<BatchHeader> header, context_->plans->NextHeader(name_, step));
  if (!header.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("plan '", name_, "' ended before step ", step));
  }
  std::vector<RolloutKey> keys;
  for (const RolloutHeader& rollout : header->rollouts()) keys.push_back(rollout.key());
  return context_->plans->Fetch(keys);
}

absl::Status RolloutStream::Applied(int64_t step, uint64_t version) {
  return context_->plans->MarkApplied(name_, step, version);
}

absl::Status RolloutStream::Durable(int64_t step) {
  return context_->plans->MarkDurable(name_, step, /*keep_rollouts=*/true);
}

absl::Status RolloutStream::Close() { return context_->plans->Close(name_); }

absl::Status RolloutStream::AppendTo(uint64_t groups) {
  if (appended_ >= groups) return absl::OkStatus();
  std::vector<WorkItem> items;
  for (uint64_t group = appended_; group < groups; ++group) {
    items.push_back(MakeWorkItem(*context_->data->prompt, ProblemOf(group), group));
  }
  const bool last = groups == uint64_t{settings_.steps()} * settings_.prompts();
  RETURN_IF_ERROR(context_->plans->Append(name_, appended_, std::move(items), last));
  appended_ = groups;
  return absl::OkStatus();
}

const Problem& RolloutStream::ProblemOf(uint64_t group) {
  const std::vector<Problem>& problems = context_->data->train;
  const auto pass = static_cast<int64_t>(group / problems.size());
  if (pass != pass_) {
    pass_ = pass;
    order_.resize(problems.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    Shuffle(order_, StreamKey(context_->config.seed(), "prompts/" + name_, pass));
  }
  return problems[order_[group % problems.size()]];
}

}  // namespace reckon
