#include "coordinator/core/batch_cutter.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/core/staleness.h"
#include "google/protobuf/arena.h"

namespace reckon {
namespace {

// The next batch with these complete groups; its rollouts are in key order.
std::shared_ptr<const BatchHeader> MakeHeader(const PlanState& plan, std::vector<uint64_t> groups,
                                              const std::vector<uint64_t>& set_aside) {
  // Key order, whatever the order of completion: the learner's sums run in the order of the header,
  // so the same members give the same bits.
  std::sort(groups.begin(), groups.end());
  // On an arena: a batch of 65,536 rollouts is made under the core's lock.
  struct Held {
    google::protobuf::Arena arena;
    BatchHeader* header = google::protobuf::Arena::CreateMessage<BatchHeader>(&arena);
  };
  const auto held = std::make_shared<Held>();
  BatchHeader& header = *held->header;
  header.set_plan(plan.spec().name());
  header.set_batch(plan.record().batches_cut());
  for (uint64_t id : groups) {
    const GroupState& group = plan.groups().at(id);
    for (uint32_t sample = 0; sample < group.samples.size(); ++sample) {
      RolloutHeader* rollout = header.add_rollouts();
      rollout->mutable_key()->set_plan(plan.spec().name());
      rollout->mutable_key()->set_group(id);
      rollout->mutable_key()->set_sample(sample);
      rollout->set_weight_version(group.samples[sample].version);
    }
  }
  header.mutable_set_aside()->Add(set_aside.begin(), set_aside.end());
  return {held, held->header};
}

std::shared_ptr<const BatchHeader> CutInKeyOrder(const PlanState& plan) {
  const StoredPlan& record = plan.record();
  const uint64_t size = plan.spec().groups_per_batch();
  const uint64_t first = record.batches_cut() * size;
  const uint64_t last = std::min(first + size, record.appended_groups());
  // Every group before the frontier is complete or set aside.
  if (first >= last || plan.frontier() < last) return nullptr;
  if (last < first + size && !record.end_of_plan()) return nullptr;
  std::vector<uint64_t> groups, set_aside;
  for (uint64_t id = first; id < last; ++id) {
    (plan.groups().at(id).set_aside ? set_aside : groups).push_back(id);
  }
  return MakeHeader(plan, std::move(groups), set_aside);
}

std::optional<std::vector<uint64_t>> ChooseCompleteGroups(const PlanState& plan) {
  const auto deadline = [&](uint64_t id) {
    return DeadlineOf(plan.groups().at(id).started_at, plan.spec().max_open_batches());
  };
  std::vector<uint64_t> started;
  // Linear in the groups that have started, at most max_open_batches batches of them: the loop ends
  // at the first group that has not.
  for (const auto& [id, group] : plan.groups()) {
    if (!group.started) break;  // groups start in key order
    if (!group.set_aside && !group.in_batch) started.push_back(deadline(id));
  }
  std::vector<CompleteGroup> complete;
  for (uint64_t id : plan.ready()) complete.push_back({.group = id, .deadline = deadline(id)});
  return ChooseGroups(plan.record().batches_cut(), plan.spec().groups_per_batch(), started,
                      complete);
}

std::shared_ptr<const BatchHeader> CutInCompletionOrder(const PlanState& plan) {
  const bool all_settled = plan.frontier() >= plan.record().appended_groups();
  // Groups set aside take no place in a batch: the next one lists all of them.
  const auto& aside = plan.unreported_set_aside();
  std::vector<uint64_t> groups;
  if (plan.ready().size() >= plan.spec().groups_per_batch()) {
    std::optional<std::vector<uint64_t>> chosen = ChooseCompleteGroups(plan);
    if (!chosen.has_value()) return nullptr;
    groups = *std::move(chosen);
  } else {
    // A rest smaller than a batch is cut only when nothing can join it any more. It contains every
    // group that is left, so no deadline can be missed and (1) of staleness.h need not be tested.
    groups = plan.ready();
    const bool last = all_settled && plan.record().end_of_plan();
    if (!last || (groups.empty() && aside.empty())) return nullptr;
  }
  return MakeHeader(plan, std::move(groups), {aside.begin(), aside.end()});
}

}  // namespace

std::shared_ptr<const BatchHeader> CutNextBatch(const PlanState& plan) {
  if (!plan.open()) return nullptr;
  return plan.in_key_order() ? CutInKeyOrder(plan) : CutInCompletionOrder(plan);
}

bool NoMoreBatches(const PlanState& plan) {
  if (!plan.open()) return true;
  const StoredPlan& record = plan.record();
  if (!record.end_of_plan()) return false;
  if (plan.in_key_order()) {
    // In key order groups set aside keep their places, so the number of cut batches tells how many
    // groups were consumed. In order of completion they take no place, and the plan is at its end
    // when nothing is left to report.
    return record.batches_cut() * plan.spec().groups_per_batch() >= record.appended_groups();
  }
  return plan.frontier() >= record.appended_groups() && plan.ready().empty() &&
         plan.unreported_set_aside().empty();
}

}  // namespace reckon
