#include "coordinator/core.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/request_check.h"
#include "coordinator/store_keys.h"

namespace reckon {

Core::Core(const Store* store, CoreOptions options)
    : store_(store), options_(std::move(options)), selections_(store), weights_(store) {}

absl::Status Core::CheckEpoch(uint64_t epoch) const {
  if (epoch == meta_.epoch()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("epoch ", epoch, " is not the current one, ", meta_.epoch()));
}

absl::Status Core::AppendSelection(const AppendSelectionRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  RETURN_IF_ERROR(selections_.Append(request, writes_));
  for (const RolloutKey& key : request.keys()) unwritten_names_.insert(store_keys::Named(key));
  return absl::OkStatus();
}

absl::Status Core::PublishWeights(const PublishWeightsRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.manifest().epoch()));
  std::set<uint64_t> pinned;
  for (const auto& [name, plan] : plans_) {
    if (plan.open() && plan.spec().has_pinned_version()) {
      pinned.insert(plan.spec().pinned_version());
    }
  }
  RETURN_IF_ERROR(weights_.Publish(request.manifest(), pinned, writes_));
  meta_.set_newest_version(*weights_.newest());
  meta_.set_has_version(true);
  meta_dirty_ = true;
  changed_ |= kWeightsChanged | kWorkChanged;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<GetManifestReply>> Core::GetManifest(
    const GetManifestRequest& request) const {
  if (request.has_version() && request.has_newer_than()) {
    return absl::InvalidArgumentError("version and newer_than are both set");
  }
  GetManifestReply reply;
  if (request.has_version()) {
    absl::StatusOr<WeightManifest> manifest = weights_.Get(request.version());
    if (absl::IsNotFound(manifest.status()) || absl::IsUnavailable(manifest.status())) {
      return std::nullopt;
    }
    RETURN_IF_ERROR(manifest.status());
    *reply.mutable_manifest() = *std::move(manifest);
    return reply;
  }
  if (!weights_.newest().has_value()) return std::nullopt;
  if (request.has_newer_than() && *weights_.newest() <= request.newer_than()) return std::nullopt;
  *reply.mutable_manifest() = weights_.newest_manifest();
  return reply;
}

absl::StatusOr<BeginEpochReply> Core::BeginEpoch(const BeginEpochRequest& request) {
  RETURN_IF_ERROR(CheckName("nonce", request.nonce()));
  RETURN_IF_ERROR(CheckName("learner", request.learner()));
  if (request.world_size() == 0) return absl::InvalidArgumentError("world_size is 0");
  BeginEpochReply reply;
  reply.set_epoch(meta_.epoch());
  if (request.nonce() == meta_.epoch_nonce()) return reply;
  const absl::StatusOr<std::string> began = store_->Get(store_keys::Nonce(request.nonce()));
  if (began.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this nonce began epoch ", *began, ", which is over"));
  }
  if (!absl::IsNotFound(began.status())) return began.status();
  meta_.set_epoch(meta_.epoch() + 1);
  meta_.set_epoch_nonce(request.nonce());
  meta_dirty_ = true;
  writes_.Put(store_keys::Nonce(request.nonce()), absl::StrCat(meta_.epoch()));
  rendezvous_.Clear();
  changed_ |= kKeysChanged;
  reply.set_epoch(meta_.epoch());
  return reply;
}

absl::StatusOr<std::optional<StoreReply>> Core::UseStore(const StoreRequest& request, bool last) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  ASSIGN_OR_RETURN(std::optional<StoreReply> reply, rendezvous_.Do(request, last));
  const bool reads = request.op() == StoreRequest::GET || request.op() == StoreRequest::WAIT ||
                     request.op() == StoreRequest::CHECK;
  if (!reads) changed_ |= kKeysChanged;
  return reply;
}

GetStatusReply Core::Status(absl::Time now) const {
  GetStatusReply reply;
  reply.set_run(meta_.run());
  reply.set_epoch(meta_.epoch());
  reply.set_newest_version(meta_.newest_version());
  *reply.mutable_ledger() = ledger_.counts();
  for (const auto& [name, plan] : plans_) {
    const StoredPlan& record = plan.record();
    PlanStatus* status = reply.add_plans();
    status->set_name(name);
    status->set_appended_groups(record.appended_groups());
    status->set_complete_groups(record.complete_groups());
    status->set_samples_accepted(record.samples_accepted());
    status->set_sampled_tokens(record.sampled_tokens());
    status->set_batches_cut(record.batches_cut());
    status->set_batches_applied(record.batches_applied());
    status->set_end_of_plan(record.end_of_plan());
    status->set_closed(record.closed());
  }
  for (const auto& [name, actor] : leases_.actors()) {
    ActorStatus* status = reply.add_actors();
    status->set_name(name);
    status->set_outstanding(actor.outstanding);
    status->set_accepted(actor.accepted);
    status->set_idle_ms(std::max<int64_t>(0, absl::ToInt64Milliseconds(now - actor.last_seen)));
  }
  return reply;
}

Writes Core::TakeWrites() {
  for (const std::string& name : dirty_plans_) {
    writes_.Put(store_keys::Plan(name), plans_.at(name).record().SerializeAsString());
  }
  if (meta_dirty_) {
    *meta_.mutable_ledger() = ledger_.counts();
    writes_.Put(store_keys::kMeta, meta_.SerializeAsString());
  }
  dirty_plans_.clear();
  meta_dirty_ = false;
  unwritten_names_.clear();
  return std::exchange(writes_, Writes());
}

absl::Status Core::CheckInvariants() const {
  RETURN_IF_ERROR(CheckLedger(ledger_.counts()));
  uint64_t held = 0;
  for (const auto& [name, plan] : plans_) {
    for (const auto& [id, group] : plan.groups()) {
      uint32_t accepted = 0;
      for (uint32_t sample = 0; sample < group.samples.size(); ++sample) {
        const SampleState& state = group.samples[sample];
        accepted += state.kind == SampleState::kAccepted;
        if (state.kind != SampleState::kLeased) continue;
        ++held;
        const HeldLease* lease = leases_.Find(state.lease);
        if (lease == nullptr || lease->group != id || lease->samples.count(sample) == 0) {
          return absl::InternalError(
              absl::StrCat("sample ", name, "/", id, "/", sample, " is held by no lease"));
        }
      }
      if (accepted != group.accepted) return absl::InternalError("a group's count is wrong");
    }
  }
  if (held != ledger_.counts().outstanding()) {
    return absl::InternalError(
        absl::StrCat("outstanding ", ledger_.counts().outstanding(), " but groups hold ", held));
  }
  return absl::OkStatus();
}

}  // namespace reckon
