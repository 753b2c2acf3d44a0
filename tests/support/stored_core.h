#ifndef RECKON_TESTS_SUPPORT_STORED_CORE_H_
#define RECKON_TESTS_SUPPORT_STORED_CORE_H_

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"

namespace reckon {

// For tests: a core with its store beside it, as the committer has them. Events that need records
// of the store are repeated with them, and a commit is one call. Not thread-safe.
class StoredCore {
  // Runs an event until it wants no more records.
  template <typename Event>
  std::invoke_result_t<Event, Reads&> Repeat(Event event) {
    Reads reads;
    while (true) {
      auto result = event(reads);
      if (!reads.wanted()) return result;
      const absl::Status loaded = reads.Load(*store_);
      CHECK(loaded.ok()) << loaded;
    }
  }

 public:
  static absl::StatusOr<std::unique_ptr<StoredCore>> Recover(Store* store, CoreOptions options) {
    ASSIGN_OR_RETURN(std::unique_ptr<Core> core, Core::Recover(store, std::move(options)));
    return std::unique_ptr<StoredCore>(new StoredCore(std::move(core), store));
  }

  // One turn of the committer's threads: evicts a batch if one waits, and makes everything durable.
  absl::Status Commit() {
    if (std::optional<EvictedBatch> batch = core_->NextEviction()) {
      ASSIGN_OR_RETURN(Eviction eviction, ReadEviction(*store_, *std::move(batch)));
      core_->Evict(std::move(eviction));
    }
    RETURN_IF_ERROR(store_->Write(core_->TakeWrites()));
    core_->Committed();
    return absl::OkStatus();
  }

  absl::StatusOr<OpenPlanReply> OpenPlan(const OpenPlanRequest& request) {
    return Repeat([&](Reads& reads) { return core_->OpenPlan(request, reads); });
  }
  absl::StatusOr<AppendGroupsReply> AppendGroups(const AppendGroupsRequest& request) {
    return Repeat([&](Reads& reads) { return core_->AppendGroups(request, reads); });
  }
  absl::StatusOr<std::optional<NextBatchReply>> NextBatch(const NextBatchRequest& request) {
    ASSIGN_OR_RETURN(const std::optional<NextBatchAnswer> answer,
                     Repeat([&](Reads& reads) { return core_->NextBatch(request, reads); }));
    if (!answer.has_value()) return std::nullopt;
    NextBatchReply reply;
    if (answer->header != nullptr) *reply.mutable_header() = *answer->header;
    reply.set_end_of_plan(answer->end_of_plan);
    return reply;
  }
  absl::Status MarkApplied(const MarkAppliedRequest& request) {
    return Repeat([&](Reads& reads) { return core_->MarkApplied(request, reads); });
  }
  absl::Status MarkDurable(const MarkDurableRequest& request) {
    return Repeat([&](Reads& reads) { return core_->MarkDurable(request, reads); });
  }
  absl::Status ClosePlan(const ClosePlanRequest& request) {
    return Repeat([&](Reads& reads) { return core_->ClosePlan(request, reads); });
  }
  absl::StatusOr<std::optional<GetManifestReply>> GetManifest(const GetManifestRequest& request) {
    return Repeat([&](Reads& reads) { return core_->GetManifest(request, reads); });
  }
  // The acknowledgement of the last rollout.
  SubmitReply::Ack Submit(SubmitRequest request, absl::Time now) {
    SubmitReply::Ack ack;
    for (SubmitRequest::LeasedRollout& leased : *request.mutable_rollouts()) {
      Submission submission;
      submission.actor = request.actor();
      submission.leased = std::move(leased);
      submission.Parse();
      ack = Repeat([&](Reads& reads) { return core_->Submit(submission, now, reads); });
    }
    return ack;
  }
  absl::Status AppendSelection(const AppendSelectionRequest& request) {
    return Repeat([&](Reads& reads) { return core_->AppendSelection(request, reads); });
  }

  // The events that need no records.
  auto Lease(const LeaseRequest& request, absl::Time now) { return core_->Lease(request, now); }
  auto RenewLeases(const RenewLeasesRequest& request, absl::Time now) {
    return core_->RenewLeases(request, now);
  }
  auto ReturnLeases(const ReturnLeasesRequest& request, absl::Time now) {
    return core_->ReturnLeases(request, now);
  }
  auto PublishWeights(const PublishWeightsRequest& request) {
    return core_->PublishWeights(request);
  }
  auto BeginTerm(const BeginTermRequest& request) { return core_->BeginTerm(request); }
  auto UseRendezvous(const RendezvousRequest& request, bool last) {
    return core_->UseRendezvous(request, last);
  }
  auto Heartbeat(const HeartbeatRequest& request, absl::Time now) {
    return core_->Heartbeat(request, now);
  }
  void Tick(absl::Time now) { core_->Tick(now); }
  auto Status(absl::Time now) const { return core_->Status(now); }
  auto CountQueue() const { return core_->CountQueue(); }
  auto NextEviction() { return core_->NextEviction(); }
  void Evict(Eviction eviction) { core_->Evict(std::move(eviction)); }
  auto TakeWrites() { return core_->TakeWrites(); }
  auto TakeChanged() { return core_->TakeChanged(); }
  const Ledger& ledger() const { return core_->ledger(); }
  uint64_t evicted() const { return core_->evicted(); }
  auto CheckInvariants() const { return core_->CheckInvariants(); }

  // The core itself, for tests of what happens between an event and its repetition.
  Core& core() { return *core_; }

 private:
  StoredCore(std::unique_ptr<Core> core, Store* store) : core_(std::move(core)), store_(store) {}

  const std::unique_ptr<Core> core_;
  Store* const store_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_STORED_CORE_H_
