#ifndef RECKON_COORDINATOR_PLAN_STATE_H_
#define RECKON_COORDINATOR_PLAN_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

// What the coordinator remembers of a sample; its tokens are in the store.
struct SampleState {
  enum Kind : uint8_t { kMissing, kLeased, kAccepted };
  Kind kind = kMissing;
  uint32_t attempts = 0;     // failed ones
  uint64_t lease = 0;        // kLeased: who holds it
  uint64_t fingerprint = 0;  // kAccepted, as are those below
  uint64_t version = 0;
  uint32_t num_tokens = 0;
  double reward = 0;
};

// A group from its append until its batch is applied.
struct GroupState {
  WorkItem item;
  std::vector<SampleState> samples;  // empty until started
  uint32_t accepted = 0;
  bool started = false;     // leased at least once, or a sample was accepted
  uint64_t started_at = 0;  // batches applied at its first lease
  bool set_aside = false;
  bool in_batch = false;

  bool complete() const { return started && accepted == samples.size(); }
  bool settled() const { return set_aside || complete(); }
};

// One plan: its record, its resident groups, and which of them may be leased. Knows admission and
// the order of completion; BatchCutter decides membership of batches. Part of the core; not
// thread-safe. Memory: groups appended and not yet applied.
class PlanState {
 public:
  explicit PlanState(StoredPlan record) : record_(std::move(record)) {}

  const PlanSpec& spec() const { return record_.spec(); }
  const StoredPlan& record() const { return record_; }
  StoredPlan& mutable_record() { return record_; }
  bool open() const { return !record_.closed(); }

  // A batch is the next groups in key order; otherwise the first complete ones.
  bool in_key_order() const {
    return spec().max_open_batches() <= 1 || spec().has_pinned_version();
  }

  // Null when not resident: not appended yet, or its batch is applied.
  GroupState* Find(uint64_t group);
  const std::map<uint64_t, GroupState>& groups() const { return groups_; }
  void Append(WorkItem item);
  // Puts groups back as the store remembers them, all of them at once.
  void Restore(std::vector<GroupState> groups);
  // Ends residency of every group: the plan is closed.
  void Clear();

  // The first group that has samples to lease and is admitted: its batch is below
  // applied + max_open_batches.
  std::optional<uint64_t> FirstLeasable() const;
  // The admitted group with samples to lease that follows `group`.
  std::optional<uint64_t> NextLeasable(uint64_t group) const;
  void Start(GroupState& group);

  // Transitions of samples.
  void Lend(GroupState& group, uint32_t sample, uint64_t lease);
  void GiveBack(GroupState& group, uint32_t sample, bool failed);
  void Accept(GroupState& group, uint32_t sample, const SampleState& accepted);
  void SetAside(GroupState& group);

  // Moves groups into a cut batch, and out of memory when it is applied.
  void AddBatch(const BatchHeader& header);
  // The groups that were dropped.
  std::vector<uint64_t> ApplyNextBatch(uint64_t version);
  const BatchHeader* UnappliedBatch(uint64_t batch) const;

  uint64_t incomplete() const { return incomplete_; }
  // First group that is neither complete nor set aside.
  uint64_t frontier() const { return frontier_; }
  // Complete groups in no batch yet, in order of completion; and set aside ones.
  const std::vector<uint64_t>& ready() const { return ready_; }
  const std::set<uint64_t>& unreported_set_aside() const { return unreported_; }

 private:
  std::optional<uint64_t> Admitted(std::set<uint64_t>::const_iterator it) const;
  void Settled(GroupState& group);
  void AdvanceFrontier();

  StoredPlan record_;
  std::map<uint64_t, GroupState> groups_;
  std::set<uint64_t> leasable_;
  std::vector<uint64_t> ready_;
  std::set<uint64_t> unreported_;
  std::map<uint64_t, BatchHeader> unapplied_;
  uint64_t incomplete_ = 0;
  uint64_t frontier_ = 0;
  uint64_t live_ = 0;  // started, not set aside, batch not applied
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_PLAN_STATE_H_
