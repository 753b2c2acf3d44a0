#include "learner/sampling/run_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/net/plan_watch.h"
#include "learner/context/shared_device.h"
#include "learner/report/learner_metrics.h"

namespace reckon {
namespace {

// Enough groups that a batch is worth a call, and few enough that its rollouts need little memory.
constexpr uint32_t kGroupsPerBatch = 16;
// All groups are of the pinned version, so nothing becomes stale and later batches may be sampled
// while an earlier one still waits for its last sample.
constexpr uint32_t kOpenBatches = 64;

}  // namespace

PlanSpec MakePlan(const RunState& run, const PromptFormatter& formatter,
                  const SamplingParams& sampling) {
  PlanSpec spec;
  *spec.mutable_sampling() = sampling;
  spec.set_seed(run.config.seed());
  for (uint32_t id : formatter.StopTokenIds()) spec.add_stop_token_ids(id);
  for (const std::string& text : formatter.StopStrings()) spec.add_stop_strings(text);
  return spec;
}

PlanSpec MakePinnedPlan(const RunState& run, const PromptFormatter& formatter,
                        const SamplingParams& sampling) {
  PlanSpec spec = MakePlan(run, formatter, sampling);
  spec.set_groups_per_batch(kGroupsPerBatch);
  spec.set_max_open_batches(kOpenBatches);
  spec.set_pinned_version(run.cursor.version());
  return spec;
}

WorkItem MakeWorkItem(const PromptFormatter& formatter, const Problem& problem, uint64_t group) {
  WorkItem item;
  item.set_group(group);
  std::vector<uint32_t> prompt = formatter.Prompt(problem);
  item.mutable_prompt_tokens()->Add(prompt.begin(), prompt.end());
  item.mutable_reference()->set_answer(problem.answer);
  item.mutable_reference()->set_solution(problem.solution);
  item.mutable_reference()->set_columns(problem.columns);
  item.set_source(problem.source);
  return item;
}

void AddRewards(const RewardList& rewards, PlanSpec* spec) {
  for (RewardSpec& reward : ActorRewards(rewards)) {
    reward.set_name(RewardName(reward));
    *spec->add_rewards() = std::move(reward);
  }
}

absl::Status RunPlan(LeaderContext& leader, const PlanSpec& spec, const PromptFormatter& formatter,
                     const std::vector<const Problem*>& problems,
                     const std::function<absl::Status(const Batch&)>& each) {
  uint64_t group = 0;
  auto next = [&]() -> std::optional<WorkItem> {
    if (group == problems.size()) return std::nullopt;
    WorkItem item = MakeWorkItem(formatter, *problems[group], group);
    ++group;
    return item;
  };
  Reporter* const reporter = leader.run.reporter;
  PlanWatch watch(&leader.coordinator, spec, leader.run.term, [reporter](const PlanView& view) {
    reporter->Update(view.samples, view.tokens_per_s);
    reporter->SetWaitingFor(view.waiting_for);
  });
  Activity* const activity = &LearnerMetrics::Process().activity;
  const ActivityScope wait(activity, LearnerMetrics::kWaitRollouts);
  std::optional<uint64_t> last_batch;
  RETURN_IF_ERROR(LeaveDevice(leader.run));
  const auto each_noted = [&](const Batch& batch) -> absl::Status {
    const ActivityScope work(activity, LearnerMetrics::kOther);
    last_batch = batch.header.batch();
    RETURN_IF_ERROR(each(batch));
    return LeaveDevice(leader.run);  // where it has scored the batch
  };
  RETURN_IF_ERROR(RunPlanToEnd(&leader.plans, spec, leader.run.cursor.version(), next, each_noted,
                               [&] { return watch.Check(); }));
  // Not durable yet: what `each` has made of the rollouts is safe only with the next checkpoint,
  // and SaveRun marks these plans then.
  if (last_batch.has_value()) leader.uncovered_plans[spec.name()] = *last_batch;
  return absl::OkStatus();
}

std::vector<std::vector<Rollout>> SplitGroups(std::vector<Rollout> rollouts) {
  std::vector<std::vector<Rollout>> groups;
  for (Rollout& rollout : rollouts) {
    if (groups.empty() || groups.back().front().key().group() != rollout.key().group()) {
      groups.emplace_back();
    }
    groups.back().push_back(std::move(rollout));
  }
  return groups;
}

}  // namespace reckon
