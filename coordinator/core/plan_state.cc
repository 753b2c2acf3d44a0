#include "coordinator/core/plan_state.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace reckon {
namespace {

bool HasMissing(const GroupState& group) {
  return std::any_of(group.samples.begin(), group.samples.end(), [](const SampleState& sample) {
    return sample.kind == SampleState::kMissing;
  });
}

}  // namespace

PlanStatus StatusOf(const StoredPlan& record) {
  PlanStatus status;
  status.set_name(record.spec().name());
  status.set_appended_groups(record.appended_groups());
  status.set_complete_groups(record.complete_groups());
  status.set_samples_accepted(record.samples_accepted());
  status.set_sampled_tokens(record.sampled_tokens());
  status.set_batches_cut(record.batches_cut());
  status.set_batches_applied(record.batches_applied());
  status.set_end_of_plan(record.end_of_plan());
  status.set_closed(record.closed());
  status.set_set_aside_groups(record.set_aside_groups());
  status.set_last_error(record.last_error());
  return status;
}

GroupState* PlanState::Find(uint64_t group) {
  auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : &it->second;
}

const GroupState* PlanState::Find(uint64_t group) const {
  auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : &it->second;
}

void PlanState::Append(WorkItem item) {
  const uint64_t group = item.group();
  // Ids have no gaps: in key order a group's batch is group / groups_per_batch, and the frontier
  // counts up from 0.
  CHECK_EQ(group, record_.appended_groups());
  groups_[group].item = std::move(item);
  leasable_.insert(group);
  ++incomplete_;
  record_.set_appended_groups(group + 1);
}

void PlanState::Restore(std::vector<GroupState> groups) {
  for (GroupState& restored : groups) {
    const uint64_t id = restored.item.group();
    GroupState& group = groups_[id] = std::move(restored);
    ++incomplete_;
    if (group.started && !group.set_aside) ++live_;
    // `ready_` was in order of completion before the restart and is in key order after it. That may
    // change which groups a later batch gets, but no batch that was recorded: AddBatch takes the
    // members of those out of `ready_` again.
    if (group.settled()) {
      GroupSettled(group);
    } else {
      leasable_.insert(id);
    }
  }
  AdvanceFrontier();
}

void PlanState::Clear() {
  groups_.clear();
  leasable_.clear();
  ready_.clear();
  unreported_.clear();
  unapplied_.clear();
  incomplete_ = 0;
  live_ = 0;
}

std::optional<uint64_t> PlanState::IfAdmitted(std::set<uint64_t>::const_iterator it) const {
  if (it == leasable_.end() || !open()) return std::nullopt;
  const uint64_t size = spec().groups_per_batch();
  if (in_key_order()) {
    if (*it / size >= record_.batches_applied() + spec().max_open_batches()) return std::nullopt;
    return *it;
  }
  // Groups start in key order: when one may not start, no later one has started.
  if (!groups_.at(*it).started && live_ >= size * spec().max_open_batches()) return std::nullopt;
  return *it;
}

std::optional<uint64_t> PlanState::FirstLeasable() const { return IfAdmitted(leasable_.begin()); }

std::optional<uint64_t> PlanState::NextLeasable(uint64_t after) const {
  return IfAdmitted(leasable_.upper_bound(after));
}

void PlanState::CountQueue(QueueCounts* counts) const {
  const uint64_t size = spec().groups_per_batch();
  const uint64_t live_limit = size * spec().max_open_batches();
  uint64_t may_start = live_limit - std::min(live_, live_limit);
  uint64_t admitted = 0;
  for (auto it = leasable_.begin(); IfAdmitted(it).has_value(); ++it, ++admitted) {
    // IfAdmitted answers for the next group alone: each that starts leaves room for one less.
    if (in_key_order() || groups_.at(*it).started) continue;
    if (may_start == 0) break;
    --may_start;
  }
  counts->leasable += admitted;
  counts->held_back += leasable_.size() - admitted;
  counts->at_actors += incomplete_ - leasable_.size();
  counts->complete += ready_.size();
  counts->batches += unapplied_.size();
}

void PlanState::Start(GroupState& group) {
  if (group.started) return;
  group.started = true;
  group.started_at = record_.batches_applied();
  // Samples take memory from here on only: of thousands of appended groups, those of
  // max_open_batches batches have started.
  group.samples.resize(spec().samples_per_group());
  ++live_;
}

uint32_t PlanState::CountMissing(const GroupState& group) const {
  if (!group.started) return spec().samples_per_group();
  return std::count_if(group.samples.begin(), group.samples.end(), [](const SampleState& sample) {
    return sample.kind == SampleState::kMissing;
  });
}

void PlanState::LeaseSample(GroupState& group, uint32_t sample, uint64_t lease) {
  SampleState& state = group.samples[sample];
  state.kind = SampleState::kLeased;
  state.lease = lease;
  // Keeps leasable_ = {groups with a missing sample that are not set aside}, so that a lease never
  // scans groups that have nothing to give.
  if (!HasMissing(group)) leasable_.erase(group.item.group());
}

void PlanState::ReleaseSample(GroupState& group, uint32_t sample, bool failed) {
  SampleState& state = group.samples[sample];
  state.kind = SampleState::kMissing;
  state.lease = 0;
  // Only a failure of the attempt counts. An actor that returns its lease because it stops, or a
  // lease that ends because its group is set aside, says nothing about the sample.
  if (failed) ++state.attempts;
  if (!group.set_aside) leasable_.insert(group.item.group());
}

void PlanState::Accept(GroupState& group, uint32_t sample, const SampleState& accepted) {
  SampleState& state = group.samples[sample];
  // A sample is accepted once, so accepted <= samples_per_group; submission.cc answers a second
  // rollout as a duplicate.
  CHECK(state.kind != SampleState::kAccepted);
  state = accepted;
  state.kind = SampleState::kAccepted;
  ++group.accepted;
  record_.set_samples_accepted(record_.samples_accepted() + 1);
  if (!HasMissing(group)) leasable_.erase(group.item.group());
  if (!group.complete()) return;
  record_.set_complete_groups(record_.complete_groups() + 1);
  GroupSettled(group);
  AdvanceFrontier();
}

void PlanState::SetAside(GroupState& group) {
  group.set_aside = true;
  record_.set_set_aside_groups(record_.set_aside_groups() + 1);
  // A group that is set aside takes no place in a batch, so it no longer counts against admission;
  // ApplyNextBatch therefore subtracts only the groups that have rollouts.
  if (group.started) --live_;
  leasable_.erase(group.item.group());
  GroupSettled(group);
  AdvanceFrontier();
}

void PlanState::GroupSettled(GroupState& group) {
  --incomplete_;
  if (group.set_aside) {
    unreported_.insert(group.item.group());
  } else {
    ready_.push_back(group.item.group());
  }
}

void PlanState::AdvanceFrontier() {
  while (frontier_ < record_.appended_groups()) {
    auto it = groups_.find(frontier_);
    // A group that is not in memory was applied.
    if (it != groups_.end() && !it->second.settled()) break;
    ++frontier_;
  }
}

void PlanState::AddBatch(std::shared_ptr<const BatchHeader> added) {
  const BatchHeader& header = *added;
  std::set<uint64_t> members;
  // Linear in `ready_`, which holds at most the groups that admission lets start.
  for (const RolloutHeader& rollout : header.rollouts()) members.insert(rollout.key().group());
  ready_.erase(std::remove_if(ready_.begin(), ready_.end(),
                              [&](uint64_t group) { return members.count(group) > 0; }),
               ready_.end());
  for (uint64_t group : header.set_aside()) {
    unreported_.erase(group);
    members.insert(group);
  }
  for (uint64_t group : members) {
    if (GroupState* state = Find(group)) state->in_batch = true;
  }
  // A recovered record counts its batches already.
  record_.set_batches_cut(std::max<uint64_t>(record_.batches_cut(), header.batch() + 1));
  unapplied_[header.batch()] = std::move(added);
}

std::vector<uint64_t> PlanState::ApplyNextBatch(uint64_t version) {
  std::vector<uint64_t> dropped;
  auto it = unapplied_.find(record_.batches_applied());
  record_.set_batches_applied(record_.batches_applied() + 1);
  record_.set_applied_version(version);
  if (it == unapplied_.end()) return dropped;  // the plan is closed: no group is in memory
  for (const RolloutHeader& rollout : it->second->rollouts()) {
    // A header's rollouts are in key order (batch_cutter.cc), so those of one group are adjacent.
    if (dropped.empty() || dropped.back() != rollout.key().group()) {
      dropped.push_back(rollout.key().group());
    }
  }
  for (uint64_t group : dropped) {
    if (groups_.erase(group) > 0) --live_;
  }
  for (uint64_t group : it->second->set_aside()) {
    groups_.erase(group);
    dropped.push_back(group);
  }
  unapplied_.erase(it);
  return dropped;
}

std::shared_ptr<const BatchHeader> PlanState::UnappliedBatch(uint64_t batch) const {
  auto it = unapplied_.find(batch);
  return it == unapplied_.end() ? nullptr : it->second;
}

}  // namespace reckon
