#ifndef RECKON_COORDINATOR_CORE_PLAN_STATE_H_
#define RECKON_COORDINATOR_CORE_PLAN_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

// What the coordinator remembers of a sample. Its tokens are in the store.
struct SampleState {
  enum Kind : uint8_t { kMissing, kLeased, kAccepted };
  Kind kind = kMissing;
  uint32_t attempts = 0;     // failed ones
  uint64_t lease = 0;        // of a leased sample
  uint64_t fingerprint = 0;  // this and the following: of an accepted sample
  uint64_t version = 0;      // oldest weight version of its tokens
  bool mixed = false;        // they are of several versions
};

// How many groups and batches wait, and for whom.
struct QueueCounts {
  uint64_t leasable = 0;   // groups of which an actor may have samples now
  uint64_t held_back = 0;  // groups with missing samples that admission does not let start
  uint64_t at_actors = 0;  // groups whose missing samples are all leased
  uint64_t complete = 0;   // groups in no batch yet
  uint64_t batches = 0;    // cut and not applied
};

// What GetStatus tells of a plan.
PlanStatus StatusOf(const StoredPlan& record);

// The K samples of one prompt. Its life, and who causes each step:
//
//   appended              AppendGroups, by the plan's owner
//      |
//   started               its first lease, once admission allows it
//      |   `-> set aside  a sample's attempts failed max_attempts times
//      |          |
//   complete      |       its last sample was accepted
//      |          |
//   in batch  <---'       batch_cutter.h; a group set aside is listed without rollouts
//      |
//   applied               MarkApplied, by the owner. The group leaves memory, its rollouts stay.
//      |
//   durable               MarkDurable, by the owner
//      |
//   evicted               with retention SELECTED: what no selection names is deleted (evictions.h)
//
// What is in no batch that was applied when the plan is closed is evicted as well.
//
// And the life of each of its samples:
//
//   missing  -- lease -->  leased  -- Submit -->  accepted
//      ^                     |
//      '---------------------'  the lease was returned, failed or expired
//
// A group is in memory from its append until its batch is applied, or its plan is closed.
struct GroupState {
  WorkItem item;
  std::vector<SampleState> samples;  // empty until started
  uint32_t accepted = 0;             // samples
  bool started = false;
  uint64_t started_at = 0;  // batches applied when it started: gives its deadline (staleness.h)
  bool set_aside = false;
  bool in_batch = false;

  bool complete() const { return started && accepted == samples.size(); }
  bool settled() const { return set_aside || complete(); }
};

// One plan: its record, its groups in memory, and which of them may be leased. Knows admission and
// the order of completion; batch_cutter.h decides which groups form a batch. Changes the record
// that the store keeps, but writes nothing itself. Part of CoreState; not thread-safe.
class PlanState {
 public:
  explicit PlanState(StoredPlan record) : record_(std::move(record)) {}

  const PlanSpec& spec() const { return record_.spec(); }
  const StoredPlan& record() const { return record_; }
  StoredPlan& mutable_record() { return record_; }
  bool open() const { return !record_.closed(); }
  // Nothing can happen to it any more: it is closed, and a checkpoint covers what was applied. Once
  // that is on the disk the plan leaves memory; its record is read when a late call names it.
  bool finished() const {
    return record_.closed() && record_.batches_durable() == record_.batches_applied();
  }

  // True when a batch is the next groups in key order, false when it is the first complete ones.
  bool in_key_order() const {
    return spec().max_open_batches() <= 1 || spec().has_pinned_version();
  }

  // Null when the group is not in memory: not appended yet, or its batch is applied.
  GroupState* Find(uint64_t group);
  const GroupState* Find(uint64_t group) const;
  const std::map<uint64_t, GroupState>& groups() const { return groups_; }
  void Append(WorkItem item);
  // Takes over, once and at once, all groups that the store remembers.
  void Restore(std::vector<GroupState> groups);
  // Drops every group: the plan is closed.
  void Clear();

  // ---- admission: the groups that may be leased, in key order ----
  // With A batches applied, M = max_open_batches and B = groups_per_batch, group g may start if
  //
  //   in key order           g / B < A + M
  //   in completion order    #{started groups, not set aside, batch not applied} < M * B
  //
  // and a started group may be leased again. The second keeps the bound on staleness (staleness.h).
  std::optional<uint64_t> FirstLeasable() const;
  std::optional<uint64_t> NextLeasable(uint64_t after) const;
  void Start(GroupState& group);

  // Adds this plan's groups and batches. Linear in those that may be leased.
  void CountQueue(QueueCounts* counts) const;

  // ---- samples ----
  uint32_t CountMissing(const GroupState& group) const;
  void LeaseSample(GroupState& group, uint32_t sample, uint64_t lease);
  // A leased sample is missing again. `failed`: the attempt counts.
  void ReleaseSample(GroupState& group, uint32_t sample, bool failed);
  void Accept(GroupState& group, uint32_t sample, const SampleState& accepted);
  void SetAside(GroupState& group);

  // ---- batches ----
  void AddBatch(std::shared_ptr<const BatchHeader> header);
  // Applies the next batch at a weight version and returns the groups that have left memory.
  std::vector<uint64_t> ApplyNextBatch(uint64_t version);
  // Null: not cut, or applied. Shared, so that it is copied into a reply without the core's lock.
  std::shared_ptr<const BatchHeader> UnappliedBatch(uint64_t batch) const;

  // Groups that are neither complete nor set aside.
  uint64_t incomplete() const { return incomplete_; }
  // The first of them in key order.
  uint64_t frontier() const { return frontier_; }
  // Complete groups in no batch, in order of completion.
  const std::vector<uint64_t>& ready() const { return ready_; }
  // Groups that were set aside and are listed in no batch yet.
  const std::set<uint64_t>& unreported_set_aside() const { return unreported_; }

 private:
  std::optional<uint64_t> IfAdmitted(std::set<uint64_t>::const_iterator it) const;
  void GroupSettled(GroupState& group);
  void AdvanceFrontier();

  StoredPlan record_;
  std::map<uint64_t, GroupState> groups_;
  std::set<uint64_t> leasable_;  // groups with missing samples, admitted or not
  std::vector<uint64_t> ready_;
  std::set<uint64_t> unreported_;
  std::map<uint64_t, std::shared_ptr<const BatchHeader>> unapplied_;
  uint64_t incomplete_ = 0;
  uint64_t frontier_ = 0;
  uint64_t live_ = 0;  // started groups, not set aside, batch not applied
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_PLAN_STATE_H_
