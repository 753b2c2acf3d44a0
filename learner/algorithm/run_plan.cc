#include "learner/algorithm/run_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/report/plan_watch.h"

namespace reckon {
namespace {

// Groups of a batch: enough that a batch is worth a call, few enough that its rollouts are small.
constexpr uint32_t kGroupsPerBatch = 16;
// With the version pinned, nothing grows stale: the next batches are sampled while one is awaited.
constexpr uint32_t kOpenBatches = 64;

void AddReward(const RewardSettings& reward, PlanSpec* spec) {
  RewardSpec* added = spec->add_rewards();
  added->set_name(absl::AsciiStrToLower(RewardSettings::Kind_Name(reward.kind())));
  switch (reward.kind()) {
    case RewardSettings::EXACT_MATCH_STRICT:
      added->set_kind(RewardSpec::EXACT_MATCH_STRICT);
      break;
    case RewardSettings::EXACT_MATCH_FLEXIBLE:
      added->set_kind(RewardSpec::EXACT_MATCH_FLEXIBLE);
      break;
    case RewardSettings::STEP_MATCH:
      added->set_kind(RewardSpec::STEP_MATCH);
      break;
    case RewardSettings::ORM:
      break;  // the learner's: ActorRewards leaves it out
  }
  added->set_weight(reward.weight());
}

}  // namespace

PlanSpec MakePlan(const LearnerContext& context, const PromptFormatter& formatter,
                  const SamplingSettings& sampling) {
  PlanSpec spec;
  SamplingParams* params = spec.mutable_sampling();
  params->set_temperature(sampling.temperature());
  params->set_top_k(sampling.top_k());
  params->set_top_p(sampling.top_p());
  params->set_max_new_tokens(sampling.max_new_tokens());
  params->set_seed(context.config.seed());
  for (uint32_t id : formatter.StopTokenIds()) params->add_stop_token_ids(id);
  for (const std::string& text : formatter.StopStrings()) params->add_stop_strings(text);
  return spec;
}

PlanSpec PinnedPlan(const LearnerContext& context, const PromptFormatter& formatter,
                    const SamplingSettings& sampling) {
  PlanSpec spec = MakePlan(context, formatter, sampling);
  spec.set_groups_per_batch(kGroupsPerBatch);
  spec.set_max_open_batches(kOpenBatches);
  spec.set_pinned_version(context.cursor.version);
  return spec;
}

WorkItem MakeWorkItem(const PromptFormatter& formatter, const Problem& problem, uint64_t group) {
  WorkItem item;
  item.set_group(group);
  std::vector<uint32_t> prompt = formatter.Prompt(problem);
  item.mutable_prompt_tokens()->Add(prompt.begin(), prompt.end());
  item.mutable_reference()->set_answer(problem.answer);
  item.mutable_reference()->set_solution(problem.solution);
  item.set_source(problem.source);
  return item;
}

void AddRewards(const RewardList& rewards, PlanSpec* spec) {
  for (const RewardSettings& reward : ActorRewards(rewards)) AddReward(reward, spec);
}

absl::Status RunPlan(LearnerContext& context, const PlanSpec& spec,
                     const PromptFormatter& formatter, const std::vector<const Problem*>& problems,
                     const std::function<absl::Status(const Batch&)>& each) {
  uint64_t group = 0;
  auto next = [&]() -> std::optional<WorkItem> {
    if (group == problems.size()) return std::nullopt;
    WorkItem item = MakeWorkItem(formatter, *problems[group], group);
    ++group;
    return item;
  };
  PlanWatch watch(context.stub, spec.name(), context.reporter);
  return context.plans->Run(spec, /*keep_rollouts=*/true, context.cursor.version, next, each);
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
