#include "coordinator/core/core.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/lease_events.h"
#include "coordinator/core/plan_events.h"
#include "coordinator/core/recovery.h"
#include "coordinator/core/request_check.h"
#include "coordinator/core/submission.h"
#include "coordinator/store/store_keys.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<Core>> Core::Recover(const Store* store, CoreOptions options) {
  std::unique_ptr<Core> core(new Core(store, std::move(options)));
  RETURN_IF_ERROR(reckon::Recover(core->state_));
  return core;
}

absl::StatusOr<OpenPlanReply> Core::OpenPlan(const OpenPlanRequest& request, Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::OpenPlan(state_, request, reads);
}
absl::StatusOr<AppendGroupsReply> Core::AppendGroups(const AppendGroupsRequest& request,
                                                     Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::AppendGroups(state_, request, reads);
}
absl::StatusOr<std::optional<NextBatchAnswer>> Core::NextBatch(const NextBatchRequest& request,
                                                               Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::NextBatch(state_, request, reads);
}
absl::Status Core::MarkApplied(const MarkAppliedRequest& request, Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::MarkApplied(state_, request, reads);
}
absl::Status Core::MarkDurable(const MarkDurableRequest& request, Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::MarkDurable(state_, request, reads);
}
absl::Status Core::ClosePlan(const ClosePlanRequest& request, Reads& reads) {
  reads.Since(state_.forgotten);
  return reckon::ClosePlan(state_, request, reads);
}

absl::StatusOr<LeaseReply> Core::Lease(const LeaseRequest& request, absl::Time now) {
  return LeaseSamples(state_, request, now);
}
absl::StatusOr<RenewLeasesReply> Core::RenewLeases(const RenewLeasesRequest& request,
                                                   absl::Time now) {
  return reckon::RenewLeases(state_, request, now);
}
absl::Status Core::ReturnLeases(const ReturnLeasesRequest& request, absl::Time now) {
  return reckon::ReturnLeases(state_, request, now);
}
SubmitReply::Ack Core::Submit(Submission& submission, absl::Time now, Reads& reads) {
  reads.Since(state_.forgotten);
  return SubmitRollout(state_, submission, now, reads);
}
void Core::Tick(absl::Time now) {
  ExpireLeases(state_, now);
  // Also of a term that has ended: the group keeps the time of the last tick.
  std::string missed = state_.group.Tick(now);
  if (!missed.empty() && state_.meta.term_end().empty()) state_.EndTerm(std::move(missed));
}

absl::Status Core::AppendSelection(const AppendSelectionRequest& request, Reads& reads) {
  reads.Since(state_.forgotten);
  absl::Status status = state_.CheckTerm(request.term());
  if (status.ok()) {
    status = state_.selections.Append(request, state_.evictions, reads, state_.writes);
  }
  if (reads.wanted()) {
    // What it will have read must still be stored when it is repeated.
    if (!reads.holds_evictions()) state_.evictions.Hold();
    reads.set_holds_evictions(true);
    return absl::OkStatus();
  }
  Abandon(reads);
  RETURN_IF_ERROR(status);
  for (const RolloutKey& key : request.keys()) state_.evictions.AddMark(key);
  return absl::OkStatus();
}

void Core::Abandon(Reads& reads) {
  if (!reads.holds_evictions()) return;
  reads.set_holds_evictions(false);
  state_.evictions.Release();
  if (state_.evictions.ready()) state_.changed |= kEvictionsChanged;
}

absl::Status Core::PublishWeights(const PublishWeightsRequest& request) {
  RETURN_IF_ERROR(state_.CheckTerm(request.manifest().term()));
  std::set<uint64_t> pinned;
  for (const auto& [name, plan] : state_.plans) {
    if (plan.open() && plan.spec().has_pinned_version()) {
      pinned.insert(plan.spec().pinned_version());
    }
  }
  const uint64_t former_term = state_.weights.newest_manifest().term();
  RETURN_IF_ERROR(state_.weights.Publish(request.manifest(), pinned, state_.writes));
  // Another learner's versions: a number may mean other weights now.
  if (request.manifest().term() != former_term) state_.sources = SourceTree();
  state_.sources.Trim();
  state_.meta.set_newest_version(*state_.weights.newest());
  state_.meta.set_has_version(true);
  state_.meta_dirty = true;
  // A new version is also new work: plans whose samples must come from this version or a newer one
  // may be leased now (VersionFor in lease_events.cc).
  state_.changed |= kWeightsChanged | kWorkChanged;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<GetManifestReply>> Core::GetManifest(const GetManifestRequest& request,
                                                                  Reads& reads) {
  reads.Since(state_.forgotten);
  if (!request.source().empty()) RETURN_IF_ERROR(CheckSource(request.source()));
  if (request.has_version() && request.has_newer_than()) {
    return BadRequest("version and newer_than are both set; set one");
  }
  const WeightRegistry& weights = state_.weights;
  GetManifestReply reply;
  WeightManifest& manifest = *reply.mutable_manifest();
  if (request.has_version()) {
    const absl::StatusOr<std::shared_ptr<const WeightManifest>> found =
        weights.Get(request.version(), reads);
    // "Not yet" to the caller, who waits: the learner may be about to publish the version, or to
    // publish it again after a restart.
    if (reads.wanted() || absl::IsNotFound(found.status())) return std::nullopt;
    RETURN_IF_ERROR(found.status());
    manifest = **found;
  } else {
    if (!weights.newest().has_value()) return std::nullopt;
    if (request.has_newer_than() && *weights.newest() <= request.newer_than()) return std::nullopt;
    manifest = weights.newest_manifest();
  }
  if (manifest.texts_sha256() != request.texts_held() && !manifest.texts_sha256().empty()) {
    const auto texts = weights.Texts(manifest.texts_sha256(), reads);
    if (reads.wanted()) return std::nullopt;
    RETURN_IF_ERROR(texts.status());
    *manifest.mutable_texts() = **texts;
  }
  AddRelays(request.source(), reply);
  return reply;
}

void Core::AddRelays(const std::string& source, GetManifestReply& reply) {
  if (source.empty()) return;
  for (std::string& relay : state_.sources.Enter(reply.manifest().version(), source)) {
    reply.add_relays(std::move(relay));
  }
}

absl::StatusOr<BeginTermReply> Core::BeginTerm(const BeginTermRequest& request) {
  RETURN_IF_ERROR(CheckName("nonce", request.nonce()));
  RETURN_IF_ERROR(CheckName("learner", request.learner()));
  if (request.world_size() == 0) return BadRequest("world_size is 0");
  StoredMeta& meta = state_.meta;
  BeginTermReply reply;
  reply.set_term(meta.term());
  // The same call again, because its reply was lost: it must not begin a second term and so fence
  // off its own caller.
  if (request.nonce() == meta.term_nonce()) {
    // Also of a term that has ended: its calls say why.
    if (request.world_size() == meta.world_size()) return reply;
    return absl::FailedPreconditionError(
        absl::StrCat("a rank of this learner group says that it has ", meta.world_size(),
                     " ranks, and another that it has ", request.world_size(),
                     "; start all of them with the same --world_size"));
  }
  // A learner group that hangs, is replaced and then wakes up repeats its old call. Without the
  // record of earlier nonces it would take the run away from its successor.
  if (auto it = state_.nonces.find(request.nonce()); it != state_.nonces.end()) {
    return absl::AbortedError(
        absl::StrCat("this nonce began term ", it->second, ", and term ", meta.term(),
                     " has begun since: another learner group has taken over"));
  }
  meta.set_term(meta.term() + 1);
  meta.set_term_nonce(request.nonce());
  meta.set_world_size(request.world_size());
  meta.clear_term_end();
  state_.meta_dirty = true;
  state_.AddNonce(request.nonce(), meta.term());
  // The keys describe processes of the older term. Ranks that still wait for such keys are tried
  // again because of kKeysChanged, fail the check of their term and end now instead of at their
  // deadline.
  state_.rendezvous.Clear();
  state_.group.Clear(state_.writes);
  state_.changed |= kKeysChanged;
  reply.set_term(meta.term());
  return reply;
}

absl::StatusOr<std::optional<RendezvousReply>> Core::UseRendezvous(const RendezvousRequest& request,
                                                                   bool last) {
  RETURN_IF_ERROR(state_.CheckTerm(request.term()));
  ASSIGN_OR_RETURN(std::optional<RendezvousReply> reply, state_.rendezvous.Do(request, last));
  const bool reads = request.op() == RendezvousRequest::GET ||
                     request.op() == RendezvousRequest::WAIT ||
                     request.op() == RendezvousRequest::CHECK;
  // Waiting GETs are tried again after each write. A read wakes nobody; it would only repeat the
  // attempts of all other ranks.
  if (!reads) state_.changed |= kKeysChanged;
  return reply;
}

absl::StatusOr<HeartbeatReply> Core::Heartbeat(const HeartbeatRequest& request, absl::Time now) {
  RETURN_IF_ERROR(state_.CheckTerm(request.term()));
  RETURN_IF_ERROR(CheckHeartbeat(request, state_.meta.world_size()));
  state_.group.Note(request, now, state_.writes);
  // The reply is not ABORTED: the rank's message has arrived, and it is the first cause.
  if (!request.failure().empty()) state_.EndTerm(state_.group.Failed(request));
  HeartbeatReply reply;
  reply.set_timeout_ms(absl::ToInt64Milliseconds(state_.group.timeout()));
  return reply;
}

GetStatusReply Core::Status(absl::Time now, bool specs) const {
  GetStatusReply reply;
  reply.set_run(state_.meta.run());
  reply.set_term(state_.meta.term());
  reply.set_newest_version(state_.meta.newest_version());
  *reply.mutable_ledger() = state_.ledger.counts();
  state_.group.List(now, &reply);
  for (const auto& [name, plan] : state_.plans) {
    PlanStatus& status = *reply.add_plans();
    status = StatusOf(plan.record());
    if (specs) *status.mutable_spec() = plan.spec();
  }
  for (const auto& [name, actor] : state_.leases.actors()) {
    ActorStatus* status = reply.add_actors();
    status->set_name(name);
    status->set_outstanding(actor.outstanding);
    status->set_accepted(actor.accepted);
    status->set_idle_ms(std::max<int64_t>(0, absl::ToInt64Milliseconds(now - actor.last_seen)));
    *status->mutable_report() = actor.report;
  }
  return reply;
}

QueueCounts Core::CountQueue() const {
  QueueCounts counts;
  for (const auto& [name, plan] : state_.plans) plan.CountQueue(&counts);
  return counts;
}

void Core::Evict(Eviction eviction) {
  // Step 3 of evictions.h: selections have named rollouts after the store was read. Rare, and the
  // only case that costs more than a few operations.
  if (state_.evictions.has_recent_marks()) {
    Writes kept;
    for (Writes::Op& op : eviction.deletes.ops) {
      if (eviction.rollouts->contains(op.key) && state_.evictions.HasRecentMark(op.key)) {
        eviction.rollouts->erase(op.key);
      } else {
        kept.Delete(std::move(op.key));
      }
    }
    eviction.deletes = std::move(kept);
  }
  state_.meta.set_evicted(state_.meta.evicted() + eviction.rollouts->size());
  state_.meta_dirty = true;
  // In front of the other writes, which are few; nothing else of the commit has these keys.
  eviction.deletes.Append(std::exchange(state_.writes, {}));
  state_.writes = std::move(eviction.deletes);
  state_.evictions.Evicted(std::move(eviction.rollouts));
}

}  // namespace reckon
