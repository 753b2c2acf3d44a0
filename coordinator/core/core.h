#ifndef RECKON_COORDINATOR_CORE_CORE_H_
#define RECKON_COORDINATOR_CORE_CORE_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/core_state.h"
#include "coordinator/core/plan_events.h"
#include "coordinator/core/reads.h"
#include "coordinator/core/submission.h"
#include "coordinator/store/store.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The coordinator without sockets, threads or clock: a state machine over a key-value store.
//
// Picture a clerk at a counter. A learner brings a list of prompts (OpenPlan, AppendGroups). Actors
// ask which samples to draw (Lease) and bring rollouts (Submit). The clerk files each rollout, puts
// complete groups into numbered batches (NextBatch) and ticks off what the learner has used
// (MarkApplied, MarkDurable). Every call is one method. It changes the clerk's memory (CoreState),
// notes what must be written to the store, and returns the answer:
//
//        request, now                reply
//   ----------------->  one event  --------->  may leave when all writes noted so far are durable
//                          |    |
//      TakeWrites()  <-----+    +----->  TakeChanged()
//      what the disk must get            which waiting calls may have an answer now
//
// It never reads the store after Recover: an event that needs a record asks for it and is repeated
// (reads.h). Because the time and the records are arguments, tests drive it through thousands of
// random events, expiries and crashes (core_model_test.cc).
//
// Owned by one Committer (or a test), which calls it under its lock: not thread-safe. An event that
// returns an error has changed nothing but the counts of received samples. What an event returns is
// described beside its RPC in proto/coordinator.proto.
class Core {
 public:
  // The state that `store` remembers; see recovery.h for the errors. `store` outlives the core.
  static absl::StatusOr<std::unique_ptr<Core>> Recover(const Store* store, CoreOptions options);

  // ---- plans: plan_events.h ----
  absl::StatusOr<OpenPlanReply> OpenPlan(const OpenPlanRequest& request, Reads& reads);
  absl::StatusOr<AppendGroupsReply> AppendGroups(const AppendGroupsRequest& request, Reads& reads);
  absl::StatusOr<std::optional<NextBatchAnswer>> NextBatch(const NextBatchRequest& request,
                                                           Reads& reads);
  absl::Status MarkApplied(const MarkAppliedRequest& request, Reads& reads);
  absl::Status MarkDurable(const MarkDurableRequest& request, Reads& reads);
  absl::Status ClosePlan(const ClosePlanRequest& request, Reads& reads);

  // ---- work: lease_events.h, submission.h ----
  absl::StatusOr<LeaseReply> Lease(const LeaseRequest& request, absl::Time now);
  absl::StatusOr<RenewLeasesReply> RenewLeases(const RenewLeasesRequest& request, absl::Time now);
  absl::Status ReturnLeases(const ReturnLeasesRequest& request, absl::Time now);
  SubmitReply::Ack Submit(Submission& submission, absl::Time now, Reads& reads);
  // Ends the leases whose time is over, and the term when a rank is missed. Called several times a
  // second.
  void Tick(absl::Time now);

  // ---- selections, weights, the learner group ----
  absl::Status AppendSelection(const AppendSelectionRequest& request, Reads& reads);
  absl::Status PublishWeights(const PublishWeightsRequest& request);
  // Without a value: not published yet.
  absl::StatusOr<std::optional<GetManifestReply>> GetManifest(const GetManifestRequest& request,
                                                              Reads& reads);
  absl::StatusOr<BeginTermReply> BeginTerm(const BeginTermRequest& request);
  // Without a value: GET or WAIT, keys are missing, and `last` is false.
  absl::StatusOr<std::optional<RendezvousReply>> UseRendezvous(const RendezvousRequest& request,
                                                               bool last);
  absl::StatusOr<HeartbeatReply> Heartbeat(const HeartbeatRequest& request, absl::Time now);
  // Of the plans in memory, with their specs where these are asked for.
  GetStatusReply Status(absl::Time now, bool specs = false) const;
  // Over all plans.
  QueueCounts CountQueue() const;

  // ---- eviction, in four steps: evictions.h ----
  bool HasEviction() const { return state_.evictions.ready(); }
  std::optional<EvictedBatch> NextEviction() { return state_.evictions.Next(); }
  // What ReadEviction returned for the batch of NextEviction.
  void Evict(Eviction eviction);

  // The event that these are of is not repeated, because the store cannot be read.
  void Abandon(Reads& reads);

  // ---- commit ----
  // Everything to be written since the last call, for one atomic write.
  Writes TakeWrites() { return state_.TakeWrites(); }
  // They are on the disk.
  void Committed() { state_.Committed(); }
  bool HasWrites() const {
    return state_.meta_dirty || !state_.writes.empty() || !state_.dirty_plans.empty();
  }
  size_t WriteBytes() const { return state_.writes.bytes; }
  // Bits of Changed since the last call.
  uint32_t TakeChanged() { return std::exchange(state_.changed, 0); }

  const Ledger& ledger() const { return state_.ledger.counts(); }
  uint64_t evicted() const { return state_.meta.evicted(); }
  absl::Status CheckInvariants() const { return state_.CheckInvariants(); }

 private:
  void AddRelays(const std::string& source, GetManifestReply& reply);
  Core(const Store* store, CoreOptions options) : state_(store, std::move(options)) {}

  CoreState state_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_CORE_H_
