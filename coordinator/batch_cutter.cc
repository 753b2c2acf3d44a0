#include "coordinator/batch_cutter.h"

#include <algorithm>
#include <vector>

namespace reckon {
namespace {

BatchHeader MakeHeader(const PlanState& plan, std::vector<uint64_t> groups,
                       const std::vector<uint64_t>& set_aside) {
  std::sort(groups.begin(), groups.end());
  BatchHeader header;
  header.set_plan(plan.spec().name());
  header.set_batch(plan.record().batches_cut());
  for (uint64_t id : groups) {
    const GroupState& group = plan.groups().at(id);
    for (uint32_t sample = 0; sample < group.samples.size(); ++sample) {
      RolloutHeader* rollout = header.add_rollouts();
      rollout->mutable_key()->set_plan(plan.spec().name());
      rollout->mutable_key()->set_group(id);
      rollout->mutable_key()->set_sample(sample);
      rollout->set_num_tokens(group.samples[sample].num_tokens);
      rollout->set_reward(group.samples[sample].reward);
      rollout->set_weight_version(group.samples[sample].version);
    }
  }
  header.mutable_set_aside()->Add(set_aside.begin(), set_aside.end());
  return header;
}

std::optional<BatchHeader> CutInKeyOrder(const PlanState& plan) {
  const StoredPlan& record = plan.record();
  const uint64_t size = plan.spec().groups_per_batch();
  const uint64_t first = record.batches_cut() * size;
  const uint64_t last = std::min(first + size, record.appended_groups());
  if (first >= last || plan.frontier() < last) return std::nullopt;
  if (last < first + size && !record.end_of_plan()) return std::nullopt;
  std::vector<uint64_t> groups, set_aside;
  for (uint64_t id = first; id < last; ++id) {
    (plan.groups().at(id).set_aside ? set_aside : groups).push_back(id);
  }
  return MakeHeader(plan, std::move(groups), set_aside);
}

std::optional<BatchHeader> CutInOrderOfCompletion(const PlanState& plan) {
  const uint64_t size = plan.spec().groups_per_batch();
  const uint64_t batch = plan.record().batches_cut();
  const auto must_go = [&](const GroupState& group) {
    return group.started && group.started_at + plan.spec().max_open_batches() <= batch + 1;
  };
  // Groups start in key order, so the frontier is the oldest of those not complete.
  const bool all_settled = plan.frontier() >= plan.record().appended_groups();
  if (!all_settled && must_go(plan.groups().at(plan.frontier()))) return std::nullopt;
  std::vector<uint64_t> groups = plan.ready();
  const auto& aside = plan.unreported_set_aside();
  if (groups.size() < size) {
    const bool last = all_settled && plan.record().end_of_plan();
    if (!last || (groups.empty() && aside.empty())) return std::nullopt;
  } else {
    std::stable_partition(groups.begin(), groups.end(),
                          [&](uint64_t id) { return must_go(plan.groups().at(id)); });
    groups.resize(size);
  }
  return MakeHeader(plan, std::move(groups), {aside.begin(), aside.end()});
}

}  // namespace

std::optional<BatchHeader> CutNextBatch(const PlanState& plan) {
  if (!plan.open()) return std::nullopt;
  return plan.in_key_order() ? CutInKeyOrder(plan) : CutInOrderOfCompletion(plan);
}

bool NoMoreBatches(const PlanState& plan) {
  if (!plan.open()) return true;
  const StoredPlan& record = plan.record();
  if (!record.end_of_plan()) return false;
  if (plan.in_key_order()) {
    return record.batches_cut() * plan.spec().groups_per_batch() >= record.appended_groups();
  }
  return plan.frontier() >= record.appended_groups() && plan.ready().empty() &&
         plan.unreported_set_aside().empty();
}

}  // namespace reckon
