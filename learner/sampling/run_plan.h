#ifndef RECKON_LEARNER_SAMPLING_RUN_PLAN_H_
#define RECKON_LEARNER_SAMPLING_RUN_PLAN_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/net/plan_run.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/context/context.h"
#include "learner/experience/orm_rewards.h"
#include "proto/rollout.pb.h"

namespace reckon {

// From problems and settings to the coordinator's plans and work items. The leader's.

// A plan that samples from the newest weights. The caller sets name, samples_per_group,
// groups_per_batch and max_open_batches.
PlanSpec MakePlan(const RunState& run, const PromptFormatter& formatter,
                  const SamplingParams& sampling);
// A plan for RunPlan: pinned to the newest version, with a fixed size of batches. The caller sets
// name and samples_per_group.
PlanSpec MakePinnedPlan(const RunState& run, const PromptFormatter& formatter,
                        const SamplingParams& sampling);
// Adds ActorRewards(rewards) to the plan.
void AddRewards(const RewardList& rewards, PlanSpec* spec);

WorkItem MakeWorkItem(const PromptFormatter& formatter, const Problem& problem, uint64_t group);

// Runs a pinned plan over `problems` to its end, group i being problems[i], shows its progress, and
// calls `each` with its batches in order. Rollouts stay in the store. A plan that was interrupted
// is continued, and one that ended is read: `each` gets the recorded batches again. A shared device
// is left to the actor; `each` takes it where it needs it.
absl::Status RunPlan(LeaderContext& leader, const PlanSpec& spec, const PromptFormatter& formatter,
                     const std::vector<const Problem*>& problems,
                     const std::function<absl::Status(const Batch&)>& each);

// Splits a batch's rollouts, which are in key order, by group.
std::vector<std::vector<Rollout>> SplitGroups(std::vector<Rollout> rollouts);

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_RUN_PLAN_H_
