#include "coordinator/batch_cutter.h"

#include <algorithm>
#include <cstdint>
#include <map>
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

// Picks `size` of the complete groups, first to complete first, so that every started group still
// finds a place in time (earliest deadline first is what makes that possible at all). Nothing:
// older groups have to complete first.
std::optional<std::vector<uint64_t>> PickInTime(const PlanState& plan) {
  const uint64_t size = plan.spec().groups_per_batch();
  const uint64_t batch = plan.record().batches_cut();
  const auto deadline = [&](uint64_t id) {
    return plan.groups().at(id).started_at + plan.spec().max_open_batches() - 1;
  };
  // Started groups in no batch yet, complete or not, by the last batch they may be in.
  std::map<uint64_t, uint64_t> due;
  for (const auto& [id, group] : plan.groups()) {
    if (!group.started) break;  // groups start in key order
    if (!group.set_aside && !group.in_batch) ++due[std::max(deadline(id), batch)];
  }
  std::vector<uint64_t> picked;
  std::vector<bool> taken(plan.ready().size());
  const auto pick = [&](uint64_t count, uint64_t last) {
    for (size_t i = 0; i < taken.size() && picked.size() < count; ++i) {
      if (taken[i] || deadline(plan.ready()[i]) > last) continue;
      taken[i] = true;
      picked.push_back(plan.ready()[i]);
    }
    return picked.size() >= count;
  };
  uint64_t needed = 0;
  for (const auto& [last, count] : due) {
    needed += count;
    const uint64_t later = (last - batch) * size;  // places in the batches after this one
    if (needed > later && !pick(needed - later, last)) return std::nullopt;
  }
  if (!pick(size, UINT64_MAX)) return std::nullopt;
  return picked;
}

std::optional<BatchHeader> CutInOrderOfCompletion(const PlanState& plan) {
  const bool all_settled = plan.frontier() >= plan.record().appended_groups();
  const auto& aside = plan.unreported_set_aside();
  std::vector<uint64_t> groups;
  if (plan.ready().size() >= plan.spec().groups_per_batch()) {
    std::optional<std::vector<uint64_t>> picked = PickInTime(plan);
    if (!picked.has_value()) return std::nullopt;
    groups = *std::move(picked);
  } else {
    groups = plan.ready();
    const bool last = all_settled && plan.record().end_of_plan();
    if (!last || (groups.empty() && aside.empty())) return std::nullopt;
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
