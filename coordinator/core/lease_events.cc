#include "coordinator/core/lease_events.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/request_check.h"

namespace reckon {
namespace {

// Bounds on one reply, far above what an engine holds and below the size of a gRPC message.
constexpr uint32_t kMaxLeaseSamples = 4096;
constexpr size_t kMaxLeaseBytes = 8 << 20;
constexpr int kMaxIds = 65536;  // leases in one call
constexpr size_t kMaxErrorBytes = 4096;

// The version that a plan's samples must come from now, if it is published.
std::optional<uint64_t> VersionFor(const CoreState& state, const PlanState& plan) {
  if (plan.spec().has_pinned_version()) {
    if (!state.weights.Has(plan.spec().pinned_version())) return std::nullopt;
    return plan.spec().pinned_version();
  }
  const std::optional<uint64_t> newest = state.weights.newest();
  // A learner that resumed from a checkpoint must publish the plan's version again first.
  if (newest.has_value() && *newest < plan.record().applied_version()) return std::nullopt;
  return newest;
}

// The version of the reply: the held one if a plan has work for it, else that of the first plan
// with work; never one that the actor refuses, whose attempts could only fail. Nothing: no plan has
// work.
std::optional<uint64_t> ChooseVersion(const CoreState& state, uint64_t held_version,
                                      std::optional<uint64_t> refused) {
  std::optional<uint64_t> first;
  for (const std::string& name : state.plan_order) {
    const PlanState& plan = state.plans.at(name);
    if (!plan.FirstLeasable().has_value()) continue;
    const std::optional<uint64_t> version = VersionFor(state, plan);
    if (version.has_value() && version == refused) continue;
    // To load other weights the actor must first finish all that is in flight, so work at the
    // version that it holds comes before older plans.
    if (version == held_version) return version;
    if (!first.has_value()) first = version;
  }
  return first;
}

// Leases up to `room` missing samples of a group; starts the group if it has not started.
HeldLease LeaseGroup(CoreState& state, PlanState& plan, GroupState& group, uint32_t room) {
  if (!group.started) {
    // Written at the start, because `started_at` gives the deadline of the group. A restart that
    // forgot it would count the group as new and could use its samples too late.
    plan.Start(group);
    state.WriteGroup(plan, group);
  }
  HeldLease lease;
  // Ids are never used again, also not after a restart, because the counter is durable with the
  // commit that the reply waits for: a late rollout cannot name somebody else's lease.
  lease.id = state.meta.next_lease();
  lease.plan = plan.spec().name();
  lease.group = group.item.group();
  for (uint32_t i = 0; i < group.samples.size() && lease.samples.size() < room; ++i) {
    if (group.samples[i].kind != SampleState::kMissing) continue;
    lease.samples.insert(lease.samples.end(), i);
    plan.LeaseSample(group, i, lease.id);
  }
  state.ledger.Leased(lease.samples.size());
  state.meta.set_next_lease(lease.id + 1);
  state.meta_dirty = true;
  return lease;
}

Lease MakeReplyLease(const HeldLease& held, const GroupState& group, absl::Duration expires_in) {
  Lease lease;
  lease.set_id(held.id);
  lease.set_plan(held.plan);
  *lease.mutable_item() = group.item;
  lease.mutable_samples()->Add(held.samples.begin(), held.samples.end());
  lease.set_weight_version(held.version);
  uint32_t failed = 0;
  for (uint32_t sample : held.samples) failed = std::max(failed, group.samples[sample].attempts);
  lease.set_attempt(failed + 1);
  lease.set_expires_in_ms(absl::ToInt64Milliseconds(expires_in));
  return lease;
}

// Adds leases of one plan to the reply, `room` samples at most; returns how many samples.
uint32_t LeaseFromPlan(CoreState& state, PlanState& plan, const std::string& actor,
                       uint64_t version, uint32_t room, absl::Time now, LeaseReply& reply) {
  uint32_t leased = 0;
  size_t bytes = reply.ByteSizeLong();
  for (auto id = plan.FirstLeasable(); id.has_value() && leased < room;
       id = plan.NextLeasable(*id)) {
    GroupState& group = *plan.Find(*id);
    // A lease is little more than its item, so the items bound the size of the reply.
    bytes += group.item.ByteSizeLong();
    // The samples of a group share the computation of its prompt, so a group is split between
    // replies only when the reply would be empty otherwise.
    const bool fits = bytes <= kMaxLeaseBytes && plan.CountMissing(group) <= room - leased;
    if (!fits && reply.leases_size() > 0) break;
    HeldLease lease = LeaseGroup(state, plan, group, room - leased);
    lease.actor = actor;
    lease.version = version;
    lease.expires = now + state.options.lease;
    *reply.add_leases() = MakeReplyLease(lease, group, state.options.lease);
    leased += lease.samples.size();
    state.leases.Add(std::move(lease));
  }
  return leased;
}

// Sets a group aside: releases what other leases hold of it, and cuts batches without it.
void SetGroupAside(CoreState& state, PlanState& plan, GroupState& group) {
  // Collected first, because to remove a lease changes the samples that this loop reads, and one
  // lease may hold several of them.
  std::set<uint64_t> others;
  for (const SampleState& sample : group.samples) {
    if (sample.kind == SampleState::kLeased) others.insert(sample.lease);
  }
  for (uint64_t id : others) {
    const std::optional<HeldLease> lease = state.leases.Remove(id);
    state.ledger.SetAside(lease->samples.size());
    for (uint32_t sample : lease->samples) plan.ReleaseSample(group, sample, /*failed=*/false);
  }
  plan.SetAside(group);
  state.CutBatches(plan);
}

enum class Ending { kExpired, kFailed, kReturned };

// `error`: why the attempt failed, of a lease that ends in kFailed.
void EndLease(CoreState& state, uint64_t id, Ending ending, const std::string& error = "") {
  const std::optional<HeldLease> lease = state.leases.Remove(id);
  // It ended earlier in this event: another one set its group aside.
  if (!lease.has_value()) return;
  PlanState& plan = state.plans.at(lease->plan);
  GroupState& group = *plan.Find(lease->group);
  // An expired lease counts as a failed attempt, because a prompt that kills its actor shows itself
  // in no other way.
  const bool failed = ending != Ending::kReturned;
  uint32_t attempts = 0;
  for (uint32_t sample : lease->samples) {
    plan.ReleaseSample(group, sample, failed);
    attempts = std::max(attempts, group.samples[sample].attempts);
  }
  state.meta_dirty = true;
  state.changed |= kWorkChanged;
  if (failed) {
    plan.mutable_record().set_last_error(
        ending == Ending::kFailed ? error : absl::StrCat("a lease of ", lease->actor, " expired"));
    state.MarkDirty(plan);
  }
  if (failed && attempts >= state.options.max_attempts) {
    state.ledger.SetAside(lease->samples.size());
    SetGroupAside(state, plan, group);
  } else if (ending == Ending::kExpired) {
    state.ledger.Expired(lease->samples.size());
  } else {
    state.ledger.Returned(lease->samples.size());
  }
  if (failed) state.WriteGroup(plan, group);
}

absl::Status CheckLeaseIds(const std::string& actor, int ids) {
  RETURN_IF_ERROR(CheckName("actor", actor));
  if (ids > kMaxIds) return BadRequest(ids, " leases in one call, above ", kMaxIds);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LeaseReply> LeaseSamples(CoreState& state, const LeaseRequest& request,
                                        absl::Time now) {
  RETURN_IF_ERROR(CheckLeaseRequest(request));
  state.leases.ActorSeen(request.actor(), now);
  state.leases.KeepReport(request.actor(), request.report());
  LeaseReply reply;
  if (request.max_samples() == 0) return reply;
  std::optional<uint64_t> refused;
  if (!request.report().refused_because().empty()) refused = request.report().refused_version();
  const std::optional<uint64_t> version = ChooseVersion(state, request.held_version(), refused);
  if (!version.has_value()) return reply;
  uint32_t room = std::min(request.max_samples(), kMaxLeaseSamples);
  for (const std::string& name : state.plan_order) {
    if (room == 0) break;
    PlanState& plan = state.plans.at(name);
    // One reply holds work of one version, as the actor's engine does.
    if (VersionFor(state, plan) != version) continue;
    const uint32_t leased = LeaseFromPlan(state, plan, request.actor(), *version, room, now, reply);
    if (leased > 0) *reply.add_plans() = plan.spec();
    room -= leased;
  }
  return reply;
}

absl::StatusOr<RenewLeasesReply> RenewLeases(CoreState& state, const RenewLeasesRequest& request,
                                             absl::Time now) {
  RETURN_IF_ERROR(CheckLeaseIds(request.actor(), request.leases_size()));
  state.leases.ActorSeen(request.actor(), now);
  // Renewals change only memory: after a restart every lease has expired anyway.
  RenewLeasesReply reply;
  reply.set_expires_in_ms(absl::ToInt64Milliseconds(state.options.lease));
  for (uint64_t id : request.leases()) {
    const HeldLease* lease = state.leases.Find(id);
    // An actor that was restarted under its old name, or never heard of the coordinator's restart,
    // asks for leases that ended. It is told so and drops their work.
    if (lease == nullptr || lease->actor != request.actor()) {
      reply.add_lost(id);
    } else {
      state.leases.Renew(id, now + state.options.lease);
    }
  }
  return reply;
}

absl::Status ReturnLeases(CoreState& state, const ReturnLeasesRequest& request, absl::Time now) {
  RETURN_IF_ERROR(CheckLeaseIds(request.actor(), request.leases_size()));
  if (request.error().size() > kMaxErrorBytes) {
    return BadRequest("error is above ", kMaxErrorBytes, " bytes");
  }
  state.leases.ActorSeen(request.actor(), now);
  for (uint64_t id : request.leases()) {
    const HeldLease* lease = state.leases.Find(id);
    // Not an error: the call may be a repeat, or the lease may have expired on its way here.
    if (lease == nullptr || lease->actor != request.actor()) continue;
    EndLease(state, id, request.error().empty() ? Ending::kReturned : Ending::kFailed,
             request.error());
  }
  return absl::OkStatus();
}

void ExpireLeases(CoreState& state, absl::Time now) {
  for (uint64_t id : state.leases.Expired(now)) EndLease(state, id, Ending::kExpired);
}

void ReleaseLeasesOfPlan(CoreState& state, const std::string& plan) {
  for (uint64_t id : state.leases.OfPlan(plan)) EndLease(state, id, Ending::kReturned);
}

}  // namespace reckon
