#include "coordinator/core/submission.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/core/request_check.h"
#include "coordinator/core/rollout_check.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

SubmitReply::Ack MakeAck(SubmitReply::Ack::Outcome outcome, absl::string_view message = "") {
  SubmitReply::Ack ack;
  ack.set_outcome(outcome);
  ack.set_message(std::string(message));
  return ack;
}

// The versions that may have sampled a wanted rollout: the lease's and newer ones, to which an
// actor may change in the middle of a sample, or any published one when the lease has ended (a late
// sample does not know what another lease of it was asked for).
absl::Status CheckVersions(const CoreState& state, const PlanState& plan, const HeldLease* lease,
                           const Rollout& rollout) {
  if (CountSampledTokens(rollout) == 0) return absl::OkStatus();
  const VersionRange versions = SampledVersions(rollout);
  uint64_t low = 0;
  uint64_t high = state.weights.newest().value_or(0);
  if (lease != nullptr) low = lease->version;
  if (plan.spec().has_pinned_version()) low = high = plan.spec().pinned_version();
  if (versions.oldest >= low && versions.newest <= high) return absl::OkStatus();
  return BadRequest("sampled with weight versions ", versions.oldest, " to ", versions.newest,
                    ", allowed are ", low, " to ", high);
}

// INVALID_ARGUMENT unless an actor could have produced the rollout for the lease that it names.
absl::Status CheckSubmission(const CoreState& state, const PlanState& plan,
                             const Submission& submission) {
  const Rollout& rollout = submission.rollout;
  const RolloutKey& key = rollout.key();
  const uint64_t lease_id = submission.leased.lease();
  if (key.group() >= plan.record().appended_groups()) return BadRequest("no such group");
  if (key.sample() >= plan.spec().samples_per_group()) return BadRequest("no such sample");
  if (lease_id == 0 || lease_id >= state.meta.next_lease()) {
    return BadRequest("no such lease was granted");
  }
  const HeldLease* lease = state.leases.Find(lease_id);
  if (lease != nullptr && (lease->plan != key.plan() || lease->group != key.group())) {
    return BadRequest("the lease is for another group");
  }
  // Certificates name roles, so the name is what the actor says of itself: this finds an actor that
  // is confused, not one that lies.
  if (lease != nullptr && lease->actor != submission.actor) {
    return BadRequest("the lease is held by another actor");
  }
  RETURN_IF_ERROR(CheckRollout(plan.spec(), rollout));

  const GroupState* group = plan.Find(key.group());
  if (group == nullptr) return absl::OkStatus();  // its batch was applied, or the plan is closed
  RETURN_IF_ERROR(CheckAgainstItem(plan.spec(), group->item, rollout));
  if (!group->started) return BadRequest("the group was never leased");
  const bool accepted = group->samples[key.sample()].kind == SampleState::kAccepted;
  if (accepted || group->set_aside) return absl::OkStatus();
  return CheckVersions(state, plan, lease, rollout);
}

SubmitReply::Ack AnswerDuplicate(CoreState& state, const SampleState& accepted,
                                 const SampleState& again) {
  // Two actors that sampled with different versions may differ, and where a version changed in the
  // middle of a sample depended on time; nothing can be said about them. The first copy stays.
  const bool equal = again.version != accepted.version || again.mixed || accepted.mixed ||
                     again.fingerprint == accepted.fingerprint;
  state.ledger.Duplicate(equal);
  return MakeAck(SubmitReply::Ack::DUPLICATE,
                 equal ? "" : "differs from the accepted one at the same weight version");
}

SubmitReply::Ack AnswerLate(CoreState& state, absl::string_view why) {
  state.ledger.Late();
  return MakeAck(SubmitReply::Ack::LATE, why);
}

SubmitReply::Ack AnswerRejected(CoreState& state, const absl::Status& why) {
  state.ledger.Rejected();
  return MakeAck(SubmitReply::Ack::REJECTED, why.message());
}

// A sample of a group that is no longer in memory: compares it with the stored one.
SubmitReply::Ack AnswerFromStore(CoreState& state, const Submission& submission, Reads& reads) {
  const std::optional<std::string>* bytes =
      reads.Find(store_keys::Rollout(submission.rollout.key()));
  if (bytes == nullptr) return {};
  Rollout stored;
  // Absent when the plan was closed before the sample arrived, or when its batch was evicted.
  if (!bytes->has_value() || !stored.ParseFromString(**bytes)) {
    return AnswerLate(state, "the sample is no longer wanted");
  }
  return AnswerDuplicate(state, AcceptedSample(stored), submission.sample);
}

SubmitReply::Ack Accept(CoreState& state, PlanState& plan, GroupState& group,
                        Submission& submission) {
  const RolloutKey& key = submission.rollout.key();
  const SampleState& sample = group.samples[key.sample()];
  // The lease that holds the sample now, which may be another actor's: the first rollout wins.
  const bool leased = sample.kind == SampleState::kLeased;
  if (leased) state.leases.Fulfil(sample.lease, key.sample());
  state.ledger.Accepted(leased);
  state.leases.CountAccepted(submission.actor);
  StoredPlan& record = plan.mutable_record();
  record.set_sampled_tokens(record.sampled_tokens() + submission.sampled_tokens);
  // The bytes as received, so that the actor's serialization is the only one and FetchRollouts can
  // serve them without parsing.
  state.writes.Put(store_keys::Rollout(key), std::move(*submission.leased.mutable_rollout()));
  plan.Accept(group, key.sample(), submission.sample);
  state.MarkDirty(plan);
  // Only a group that settles can decide a batch, so the other samples of a group cost no attempt
  // to cut.
  if (group.complete()) state.CutBatches(plan);
  return MakeAck(SubmitReply::Ack::ACCEPTED);
}

SubmitReply::Ack AnswerSubmission(CoreState& state, Submission& submission, Reads& reads) {
  const Rollout& rollout = submission.rollout;
  if (!submission.readable.ok()) return AnswerRejected(state, submission.readable);
  absl::Status status = CheckName("actor", submission.actor);
  if (!status.ok()) return AnswerRejected(state, status);
  const absl::StatusOr<std::shared_ptr<PlanState>> plan =
      state.FindPlan(rollout.key().plan(), reads);
  if (reads.wanted()) return {};
  if (!plan.ok()) return AnswerRejected(state, BadRequest("no such plan"));
  // All checks come first, so that a rejected rollout has changed nothing but a count.
  status = CheckSubmission(state, **plan, submission);
  if (!status.ok()) return AnswerRejected(state, status);
  GroupState* group = (*plan)->Find(rollout.key().group());
  if (group == nullptr) return AnswerFromStore(state, submission, reads);
  const SampleState& sample = group->samples[rollout.key().sample()];
  if (sample.kind == SampleState::kAccepted) {
    return AnswerDuplicate(state, sample, submission.sample);
  }
  if (group->set_aside) return AnswerLate(state, "the group was set aside");
  return Accept(state, **plan, *group, submission);
}

}  // namespace

void Submission::Parse() {
  readable = ParseRollout(leased.rollout(), &rollout);
  if (!readable.ok()) return;
  sample = AcceptedSample(rollout);
  sampled_tokens = CountSampledTokens(rollout);
}

SampleState AcceptedSample(const Rollout& rollout) {
  SampleState sample;
  sample.kind = SampleState::kAccepted;
  sample.fingerprint = Fingerprint(rollout);
  const VersionRange versions = SampledVersions(rollout);
  sample.version = versions.oldest;
  sample.mixed = versions.oldest != versions.newest;
  return sample;
}

SubmitReply::Ack SubmitRollout(CoreState& state, Submission& submission, absl::Time now,
                               Reads& reads) {
  SubmitReply::Ack ack = AnswerSubmission(state, submission, reads);
  if (reads.wanted()) return ack;
  if (CheckName("actor", submission.actor).ok()) state.leases.ActorSeen(submission.actor, now);
  state.meta_dirty = true;  // the ledger changes in every case
  // The actor finds its rollout by this key. Acknowledgements carry no other name, because a
  // rollout may be acknowledged on another stream than the one that it was first sent on.
  *ack.mutable_key() = submission.rollout.key();
  return ack;
}

}  // namespace reckon
