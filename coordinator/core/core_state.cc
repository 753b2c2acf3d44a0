#include "coordinator/core/core_state.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "coordinator/core/batch_cutter.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

constexpr size_t kNonces = 1024;

}  // namespace

CoreState::CoreState(const Store* store, CoreOptions options)
    : store(store), options(std::move(options)), group(store, this->options.rank_timeout) {}

absl::Status CoreState::CheckTerm(uint64_t term) const {
  if (term == meta.term()) {
    return meta.term_end().empty() ? absl::OkStatus() : absl::AbortedError(meta.term_end());
  }
  return absl::AbortedError(absl::StrCat(
      "the call is of learner term ", term, " and the coordinator is in term ", meta.term(),
      term < meta.term() ? ": another learner group has taken over"
                         : ": it has lost its store, or has another run's"));
}

void CoreState::EndTerm(std::string why) {
  meta.set_term_end(std::move(why));
  meta_dirty = true;
  // Ranks that wait for keys of others are tried again, and told.
  changed |= kKeysChanged;
}

absl::StatusOr<std::shared_ptr<PlanState>> CoreState::FindPlan(const std::string& name,
                                                               Reads& reads) {
  auto it = plans.find(name);
  // Not owned by the pointer.
  if (it != plans.end()) return std::shared_ptr<PlanState>(std::shared_ptr<void>(), &it->second);
  const std::optional<std::string>* bytes = reads.Find(store_keys::Plan(name));
  if (bytes == nullptr) return nullptr;
  if (!bytes->has_value()) {
    return absl::NotFoundError(absl::StrCat("no plan '", Printable(name), "'"));
  }
  StoredPlan record;
  if (!record.ParseFromString(**bytes)) return absl::DataLossError("a plan's record is damaged");
  return std::make_shared<PlanState>(std::move(record));
}

void CoreState::WriteGroup(const PlanState& plan, const GroupState& group) {
  StoredGroup stored;
  for (const SampleState& sample : group.samples) {
    // One number for the group: after a restart each of its samples has the attempts of the worst
    // one. That can set a group aside earlier, never later, and a group that makes actors crash
    // must not start at zero with each crash of the coordinator.
    stored.set_attempts(std::max(stored.attempts(), sample.attempts));
  }
  stored.set_set_aside(group.set_aside);
  stored.set_started_at(group.started_at);
  writes.Put(store_keys::Group(plan.spec().name(), group.item.group()), stored.SerializeAsString());
}

void CoreState::CutBatches(PlanState& plan) {
  while (std::shared_ptr<const BatchHeader> header = CutNextBatch(plan)) {
    // The members are recorded in the commit that also holds the rollout which completed the batch.
    // A learner that restarts is given the same members, however rollouts arrive the second time.
    writes.Put(store_keys::Batch(header->plan(), header->batch()), header->SerializeAsString());
    plan.AddBatch(std::move(header));
    MarkDirty(plan);
    changed |= kBatchesChanged;
  }
}

Writes CoreState::TakeWrites() {
  // A plan's record and the ledger change with nearly every event and are written once a commit, in
  // the same atomic write as the rollouts that they count.
  for (const std::string& name : dirty_plans) {
    writes.Put(store_keys::Plan(name), plans.at(name).record().SerializeAsString());
  }
  if (meta_dirty) {
    *meta.mutable_ledger() = ledger.counts();
    writes.Put(store_keys::kMeta, meta.SerializeAsString());
  }
  for (const std::string& name : dirty_plans) {
    if (plans.at(name).finished()) finishing.insert(name);
  }
  dirty_plans.clear();
  meta_dirty = false;
  evictions.WritesTaken();
  selections.WritesTaken();
  weights.WritesTaken();
  return std::exchange(writes, Writes());
}

void CoreState::Committed() {
  evictions.Committed();
  if (evictions.ready()) changed |= kEvictionsChanged;
  forgotten += selections.Committed() + weights.Committed();
  for (const std::string& name : std::exchange(finishing, {})) {
    plans.erase(name);
    plan_order.erase(std::find(plan_order.begin(), plan_order.end(), name));
    ++forgotten;
  }
}

void CoreState::AddNonce(const std::string& nonce, uint64_t term) {
  nonces[nonce] = term;
  writes.Put(store_keys::Nonce(nonce), absl::StrCat(term));
  if (nonces.size() <= kNonces) return;
  const auto oldest =
      std::min_element(nonces.begin(), nonces.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  writes.Delete(store_keys::Nonce(oldest->first));
  nonces.erase(oldest);
}

void CoreState::RequestEviction(const std::string& plan, uint64_t batch, std::string loose) {
  if (options.retention != CoordinatorSettings::SELECTED) return;
  writes.Put(store_keys::Evict(plan, batch), loose);
  evictions.Add({.plan = plan, .batch = batch, .loose = std::move(loose)});
}

absl::Status CoreState::CheckInvariants() const {
  if (absl::Status status = CheckLedger(ledger.counts()); !status.ok()) return status;
  uint64_t leased = 0;
  for (const auto& [name, plan] : plans) {
    for (const auto& [id, group] : plan.groups()) {
      uint32_t accepted = 0;
      for (uint32_t sample = 0; sample < group.samples.size(); ++sample) {
        const SampleState& state = group.samples[sample];
        accepted += state.kind == SampleState::kAccepted;
        if (state.kind != SampleState::kLeased) continue;
        ++leased;
        // Samples and leases point to each other. One direction is checked sample by sample; the
        // count against the ledger at the end finds a lease that holds a sample which does not know
        // of it.
        const HeldLease* lease = leases.Find(state.lease);
        if (lease == nullptr || lease->group != id || lease->samples.count(sample) == 0) {
          return absl::InternalError(
              absl::StrCat("sample ", name, "/", id, "/", sample, " is leased, but by no lease"));
        }
      }
      if (accepted != group.accepted) {
        return absl::InternalError(absl::StrCat("group ", name, "/", id, " counts ", group.accepted,
                                                " accepted samples, but has ", accepted));
      }
    }
  }
  if (leased == ledger.counts().outstanding()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("the ledger counts ", ledger.counts().outstanding(),
                                          " outstanding samples, but groups have ", leased));
}

}  // namespace reckon
