// The actors' events.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core.h"
#include "coordinator/request_check.h"
#include "coordinator/rollout_check.h"
#include "coordinator/store_keys.h"

namespace reckon {
namespace {

constexpr uint32_t kMaxLeaseSamples = 4096;
constexpr size_t kMaxLeaseBytes = 8 << 20;
constexpr int kMaxIds = 65536;

}  // namespace

std::optional<uint64_t> Core::VersionFor(const PlanState& plan) const {
  if (plan.spec().has_pinned_version()) {
    if (!weights_.Has(plan.spec().pinned_version())) return std::nullopt;
    return plan.spec().pinned_version();
  }
  const std::optional<uint64_t> newest = weights_.newest();
  // A learner that came back from a checkpoint has to publish the plan's version again first.
  if (newest.has_value() && *newest < plan.record().applied_version()) return std::nullopt;
  return newest;
}

absl::StatusOr<LeaseReply> Core::Lease(const LeaseRequest& request, absl::Time now) {
  RETURN_IF_ERROR(CheckName("actor", request.actor()));
  if (request.max_samples() == 0) return absl::InvalidArgumentError("max_samples is 0");
  leases_.Seen(request.actor(), now);
  LeaseReply reply;
  uint32_t room = std::min(request.max_samples(), kMaxLeaseSamples);
  std::optional<uint64_t> version;  // one reply is for one version
  for (const bool held_only : {true, false}) {
    for (const std::string& name : plan_order_) {
      PlanState& plan = plans_.at(name);
      if (room == 0 || !plan.FirstLeasable().has_value()) continue;
      const std::optional<uint64_t> wants = VersionFor(plan);
      if (!wants.has_value() || (version.has_value() && wants != version)) continue;
      if (held_only && *wants != request.held_version()) continue;
      const uint32_t leased = LeaseFrom(plan, *wants, request, room, now, reply);
      if (leased == 0) continue;
      room -= leased;
      version = wants;
      *reply.add_plans() = plan.spec();
    }
    if (version.has_value()) break;
  }
  return reply;
}

uint32_t Core::LeaseFrom(PlanState& plan, uint64_t version, const LeaseRequest& request,
                         uint32_t room, absl::Time now, LeaseReply& reply) {
  uint32_t total = 0;
  size_t bytes = reply.ByteSizeLong();
  for (auto id = plan.FirstLeasable(); id.has_value() && total < room;
       id = plan.NextLeasable(*id)) {
    GroupState& group = *plan.Find(*id);
    bytes += group.item.ByteSizeLong();
    if (bytes > kMaxLeaseBytes && reply.leases_size() > 0) break;
    HeldLease held;
    uint32_t attempts = 0;
    const bool starts = !group.started;
    const uint32_t missing =
        starts ? plan.spec().samples_per_group()
               : std::count_if(group.samples.begin(), group.samples.end(),
                               [](const auto& s) { return s.kind == SampleState::kMissing; });
    // A group shares its prompt's computation, so only an otherwise empty reply splits one.
    if (missing > room - total && reply.leases_size() > 0) break;
    if (starts) {
      plan.Start(group);
      WriteGroup(plan, group);
    }
    held.id = meta_.next_lease();
    for (uint32_t i = 0; i < group.samples.size() && held.samples.size() < room - total; ++i) {
      if (group.samples[i].kind != SampleState::kMissing) continue;
      held.samples.insert(held.samples.end(), i);
      attempts = std::max(attempts, group.samples[i].attempts);
    }
    for (uint32_t sample : held.samples) plan.Lend(group, sample, held.id);
    held.actor = request.actor();
    held.plan = plan.spec().name();
    held.group = *id;
    held.version = version;
    held.expires = now + options_.lease;

    reckon::Lease* lease = reply.add_leases();
    lease->set_lease(held.id);
    lease->set_plan(held.plan);
    *lease->mutable_item() = group.item;
    lease->mutable_samples()->Add(held.samples.begin(), held.samples.end());
    lease->set_weight_version(version);
    lease->set_attempt(attempts + 1);
    lease->set_expires_in_ms(absl::ToInt64Milliseconds(options_.lease));

    total += held.samples.size();
    ledger_.Leased(held.samples.size());
    meta_.set_next_lease(held.id + 1);
    meta_dirty_ = true;
    leases_.Add(std::move(held));
  }
  return total;
}

void Core::WriteGroup(const PlanState& plan, const GroupState& group) {
  StoredGroup stored;
  for (const SampleState& sample : group.samples) {
    stored.set_attempts(std::max(stored.attempts(), sample.attempts));
  }
  stored.set_set_aside(group.set_aside);
  stored.set_started_at(group.started_at);
  writes_.Put(store_keys::Group(plan.spec().name(), group.item.group()),
              stored.SerializeAsString());
}

absl::StatusOr<RenewLeasesReply> Core::RenewLeases(const RenewLeasesRequest& request,
                                                   absl::Time now) {
  RETURN_IF_ERROR(CheckName("actor", request.actor()));
  if (request.leases_size() > kMaxIds) return absl::InvalidArgumentError("too many leases");
  leases_.Seen(request.actor(), now);
  RenewLeasesReply reply;
  reply.set_expires_in_ms(absl::ToInt64Milliseconds(options_.lease));
  for (uint64_t id : request.leases()) {
    const HeldLease* lease = leases_.Find(id);
    if (lease == nullptr || lease->actor != request.actor()) {
      reply.add_lost(id);
    } else {
      leases_.Renew(id, now + options_.lease);
    }
  }
  return reply;
}

absl::Status Core::ReturnLeases(const ReturnLeasesRequest& request, absl::Time now) {
  RETURN_IF_ERROR(CheckName("actor", request.actor()));
  if (request.leases_size() > kMaxIds) return absl::InvalidArgumentError("too many leases");
  leases_.Seen(request.actor(), now);
  for (uint64_t id : request.leases()) {
    const HeldLease* lease = leases_.Find(id);
    if (lease == nullptr || lease->actor != request.actor()) continue;
    EndLease(id, request.error().empty() ? Ending::kReturned : Ending::kFailed);
  }
  return absl::OkStatus();
}

void Core::Tick(absl::Time now) {
  for (uint64_t id : leases_.Due(now)) EndLease(id, Ending::kExpired);
}

void Core::EndLease(uint64_t id, Ending ending) {
  std::optional<HeldLease> lease = leases_.Take(id);
  // One that ended before it: its group was set aside.
  if (!lease.has_value()) return;
  PlanState& plan = plans_.at(lease->plan);
  GroupState& group = *plan.Find(lease->group);
  uint32_t attempts = 0;
  for (uint32_t sample : lease->samples) {
    plan.GiveBack(group, sample, ending != Ending::kReturned);
    attempts = std::max(attempts, group.samples[sample].attempts);
  }
  meta_dirty_ = true;
  changed_ |= kWorkChanged;
  if (ending != Ending::kReturned && attempts >= options_.max_attempts) {
    ledger_.SetAside(lease->samples.size());
    SetGroupAside(plan, group);
  } else if (ending == Ending::kExpired) {
    ledger_.Expired(lease->samples.size());
  } else {
    ledger_.Returned(lease->samples.size());
  }
  if (ending != Ending::kReturned) WriteGroup(plan, group);
}

void Core::SetGroupAside(PlanState& plan, GroupState& group) {
  std::set<uint64_t> others;
  for (const SampleState& sample : group.samples) {
    if (sample.kind == SampleState::kLeased) others.insert(sample.lease);
  }
  for (uint64_t id : others) {
    const std::optional<HeldLease> lease = leases_.Take(id);
    ledger_.SetAside(lease->samples.size());
    for (uint32_t sample : lease->samples) plan.GiveBack(group, sample, /*failed=*/false);
  }
  plan.SetAside(group);
  CutBatches(plan);
}

SubmitReply::Ack Core::Submit(const SubmitRequest& request, absl::Time now) {
  if (CheckName("actor", request.actor()).ok()) leases_.Seen(request.actor(), now);
  SubmitReply::Ack ack = Judge(request, now);
  *ack.mutable_key() = request.rollout().key();
  if (ack.outcome() == SubmitReply::Ack::REJECTED) ledger_.Rejected();
  if (ack.outcome() == SubmitReply::Ack::LATE) ledger_.Late();
  meta_dirty_ = true;
  return ack;
}

absl::Status Core::CheckVersions(const PlanState& plan, const HeldLease* lease,
                                 const Rollout& rollout) const {
  if (CountSampledTokens(rollout) == 0) return absl::OkStatus();
  const VersionRange versions = SampledVersions(rollout);
  uint64_t low = 0;
  uint64_t high = weights_.newest().value_or(0);
  if (lease != nullptr) low = high = lease->version;
  if (plan.spec().has_pinned_version()) low = high = plan.spec().pinned_version();
  if (versions.oldest >= low && versions.newest <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("sampled with weight version ", versions.oldest,
                                                 "..", versions.newest, ", wanted ", low, "..",
                                                 high));
}

SubmitReply::Ack Core::Judge(const SubmitRequest& request, absl::Time now) {
  const Rollout& rollout = request.rollout();
  const RolloutKey& key = rollout.key();
  SubmitReply::Ack ack;
  const auto verdict = [&](SubmitReply::Ack::Outcome outcome, absl::string_view why) {
    ack.set_outcome(outcome);
    ack.set_message(std::string(why));
    return ack;
  };
  const auto reject = [&](absl::string_view why) {
    return verdict(SubmitReply::Ack::REJECTED, why);
  };
  if (absl::Status s = CheckName("actor", request.actor()); !s.ok()) return reject(s.message());
  auto it = plans_.find(key.plan());
  if (it == plans_.end()) return reject("no such plan");
  PlanState& plan = it->second;
  if (key.group() >= plan.record().appended_groups()) return reject("no such group");
  if (key.sample() >= plan.spec().samples_per_group()) return reject("no such sample");
  if (request.lease() == 0 || request.lease() >= meta_.next_lease()) {
    return reject("no such lease was given");
  }
  const HeldLease* lease = leases_.Find(request.lease());
  if (lease != nullptr && (lease->plan != key.plan() || lease->group != key.group())) {
    return reject("the lease is for another group");
  }
  if (absl::Status s = CheckRollout(plan.spec(), rollout); !s.ok()) return reject(s.message());

  GroupState* group = plan.Find(key.group());
  if (group == nullptr) return Again(rollout, nullptr);
  if (absl::Status s = CheckAgainstItem(plan.spec(), group->item, rollout); !s.ok())
    return reject(s.message());
  if (!group->started) return reject("the group was never leased");
  const SampleState& sample = group->samples[key.sample()];
  if (sample.kind == SampleState::kAccepted) return Again(rollout, &sample);
  if (group->set_aside) return verdict(SubmitReply::Ack::LATE, "the group was set aside");
  if (absl::Status s = CheckVersions(plan, lease, rollout); !s.ok()) return reject(s.message());

  const bool held = sample.kind == SampleState::kLeased;
  if (held) leases_.Fulfil(sample.lease, key.sample());
  ledger_.Accepted(held);
  leases_.CountAccepted(request.actor());
  SampleState accepted;
  accepted.fingerprint = Fingerprint(rollout);
  accepted.version = SampledVersions(rollout).oldest;
  accepted.num_tokens = CountTokens(rollout);
  accepted.reward = rollout.reward();
  StoredPlan& record = plan.mutable_record();
  record.set_sampled_tokens(record.sampled_tokens() + CountSampledTokens(rollout));
  writes_.Put(store_keys::Rollout(key), rollout.SerializeAsString());
  plan.Accept(*group, key.sample(), accepted);
  Touch(plan);
  if (group->complete()) CutBatches(plan);
  return verdict(SubmitReply::Ack::ACCEPTED, "");
}

// A sample that is there already, or whose group is gone.
SubmitReply::Ack Core::Again(const Rollout& rollout, const SampleState* accepted) {
  SubmitReply::Ack ack;
  uint64_t version = 0, fingerprint = 0;
  if (accepted != nullptr) {
    version = accepted->version;
    fingerprint = accepted->fingerprint;
  } else {
    Rollout stored;
    const absl::StatusOr<std::string> bytes = store_->Get(store_keys::Rollout(rollout.key()));
    if (!bytes.ok() || !stored.ParseFromString(*bytes)) {
      ack.set_outcome(SubmitReply::Ack::LATE);
      ack.set_message("the sample is no longer wanted");
      return ack;
    }
    version = SampledVersions(stored).oldest;
    fingerprint = Fingerprint(stored);
  }
  const bool same_version = SampledVersions(rollout).oldest == version;
  const bool equal = !same_version || Fingerprint(rollout) == fingerprint;
  ledger_.Duplicate(equal);
  ack.set_outcome(SubmitReply::Ack::DUPLICATE);
  if (!equal) ack.set_message("differs from the accepted one at the same weight version");
  return ack;
}

}  // namespace reckon
