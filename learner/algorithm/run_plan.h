#ifndef RECKON_LEARNER_ALGORITHM_RUN_PLAN_H_
#define RECKON_LEARNER_ALGORITHM_RUN_PLAN_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/plan/plan_client.h"
#include "common/task/format.h"
#include "common/task/problem.h"
#include "learner/algorithm/learner_context.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A plan over problems that samples from the newest weights; name, size of groups and batches are
// for the caller to set.
PlanSpec MakePlan(const LearnerContext& context, const PromptFormatter& formatter,
                  const SamplingSettings& sampling);
// The same pinned to the newest version, for RunPlan.
PlanSpec PinnedPlan(const LearnerContext& context, const PromptFormatter& formatter,
                    const SamplingSettings& sampling);
WorkItem MakeWorkItem(const PromptFormatter& formatter, const Problem& problem, uint64_t group);
// What actors compute of the rewards.
void AddRewards(const google::protobuf::RepeatedPtrField<RewardSettings>& rewards, PlanSpec* spec);

// Runs the plan over `problems`, group i being problem i, shows its progress, and hands batches to
// `each` in key order. Rollouts stay in the store.
absl::Status RunPlan(LearnerContext& context, const PlanSpec& spec,
                     const PromptFormatter& formatter, const std::vector<const Problem*>& problems,
                     const std::function<absl::Status(const Batch&)>& each);

// A batch's rollouts by group, each group's in sample order.
std::vector<std::vector<Rollout>> SplitGroups(std::vector<Rollout> rollouts);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_RUN_PLAN_H_
