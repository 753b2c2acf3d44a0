#ifndef RECKON_COORDINATOR_CORE_H_
#define RECKON_COORDINATOR_CORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/lease_table.h"
#include "coordinator/ledger.h"
#include "coordinator/plan_state.h"
#include "coordinator/rendezvous.h"
#include "coordinator/selections.h"
#include "coordinator/store.h"
#include "coordinator/weight_registry.h"
#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

struct CoreOptions {
  std::string run;
  absl::Duration lease = absl::Seconds(60);
  uint32_t max_attempts = 3;
  uint64_t max_resident_groups = 16384;
};

// What an event changed, for those who wait on it.
enum Changed : uint32_t {
  kWorkChanged = 1,
  kBatchesChanged = 2,
  kWeightsChanged = 4,
  kKeysChanged = 8,
};

// The coordinator as a state machine: each method is one event of proto/coordinator.proto at a time
// `now`; its result is the reply, and what has to be written and who may be woken is collected for
// TakeWrites and TakeChanged. A reply may leave once everything taken before it is durable. An
// event that returns an error changes nothing but the counts of received samples.
//
// No sockets, threads or clock: owned by one Committer (or a test), which calls it under its lock.
// Reads the store for what is not in flight. Memory: groups appended and not applied, leases,
// and a few words for each plan and selection.
class Core {
 public:
  // The state that a store remembers; leases of the process before have expired. DATA_LOSS when a
  // record is unreadable, FAILED_PRECONDITION when the store is of another run or layout.
  static absl::StatusOr<std::unique_ptr<Core>> Recover(const Store* store, CoreOptions options);

  // ---- plans (core_plans.cc) ----
  absl::StatusOr<OpenPlanReply> OpenPlan(const OpenPlanRequest& request);
  absl::StatusOr<AppendGroupsReply> AppendGroups(const AppendGroupsRequest& request);
  // Nothing: not cut yet.
  absl::StatusOr<std::optional<NextBatchReply>> NextBatch(const NextBatchRequest& request) const;
  absl::Status MarkApplied(const MarkAppliedRequest& request);
  absl::Status MarkDurable(const MarkDurableRequest& request);
  absl::Status ClosePlan(const ClosePlanRequest& request);
  // Deletes the rollouts of one durable batch that nobody keeps. Call when nothing taken is still
  // being written.
  absl::Status EvictOneBatch();

  // ---- work (core_work.cc) ----
  // Without leases: nothing to do now.
  absl::StatusOr<LeaseReply> Lease(const LeaseRequest& request, absl::Time now);
  absl::StatusOr<RenewLeasesReply> RenewLeases(const RenewLeasesRequest& request, absl::Time now);
  absl::Status ReturnLeases(const ReturnLeasesRequest& request, absl::Time now);
  SubmitReply::Ack Submit(const SubmitRequest& request, absl::Time now);
  void Tick(absl::Time now);

  // ---- selections, weights, the learner group (core.cc) ----
  absl::Status AppendSelection(const AppendSelectionRequest& request);
  absl::Status PublishWeights(const PublishWeightsRequest& request);
  // Nothing: not published yet.
  absl::StatusOr<std::optional<GetManifestReply>> GetManifest(
      const GetManifestRequest& request) const;
  absl::StatusOr<BeginEpochReply> BeginEpoch(const BeginEpochRequest& request);
  // Nothing: keys are missing and `last` is false.
  absl::StatusOr<std::optional<StoreReply>> UseStore(const StoreRequest& request, bool last);
  GetStatusReply Status(absl::Time now) const;

  // Everything to be written since the last call.
  Writes TakeWrites();
  bool HasWrites() const { return meta_dirty_ || !writes_.empty() || !dirty_plans_.empty(); }
  size_t WriteBytes() const { return writes_.bytes; }
  // Bits of Changed since the last call.
  uint32_t TakeChanged() { return std::exchange(changed_, 0); }

  const Ledger& ledger() const { return ledger_.counts(); }
  uint64_t evicted() const { return meta_.evicted(); }
  // The equations of Ledger, and leases against the groups they hold. For tests.
  absl::Status CheckInvariants() const;

 private:
  Core(const Store* store, CoreOptions options);

  absl::Status RestorePlan(StoredPlan record);
  absl::Status RestoreGroup(const PlanState& plan, GroupState& group) const;
  absl::Status CheckEpoch(uint64_t epoch) const;
  absl::StatusOr<PlanState*> FindPlan(const std::string& name);
  void Touch(const PlanState& plan) { dirty_plans_.insert(plan.spec().name()); }
  void CutBatches(PlanState& plan);

  std::optional<uint64_t> VersionFor(const PlanState& plan) const;
  uint32_t LeaseFrom(PlanState& plan, uint64_t version, const LeaseRequest& request, uint32_t room,
                     absl::Time now, LeaseReply& reply);
  enum class Ending { kExpired, kFailed, kReturned };
  void EndLease(uint64_t id, Ending ending);
  void SetGroupAside(PlanState& plan, GroupState& group);
  void WriteGroup(const PlanState& plan, const GroupState& group);
  absl::Status CheckVersions(const PlanState& plan, const HeldLease* lease,
                             const Rollout& rollout) const;
  SubmitReply::Ack Judge(const SubmitRequest& request, absl::Time now);
  SubmitReply::Ack Again(const Rollout& rollout, const SampleState* accepted);

  const Store* const store_;
  const CoreOptions options_;
  StoredMeta meta_;  // its ledger is in ledger_
  LedgerBook ledger_;
  std::map<std::string, PlanState> plans_;
  std::vector<std::string> plan_order_;  // as opened; work of the first comes first
  LeaseTable leases_;
  Selections selections_;
  WeightRegistry weights_;
  Rendezvous rendezvous_;
  std::deque<std::pair<std::string, uint64_t>> to_evict_;

  Writes writes_;
  std::set<std::string> unwritten_names_;  // rollouts that selections in writes_ name
  std::set<std::string> dirty_plans_;
  bool meta_dirty_ = false;
  uint32_t changed_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_H_
