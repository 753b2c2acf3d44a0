#include "coordinator/core/core_state.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "coordinator/core/batch_cutter.h"
#include "coordinator/store/store_keys.h"

namespace reckon {

CoreState::CoreState(const Store* store, CoreOptions options)
    : store(store),
      options(std::move(options)),
      selections(store),
      weights(store),
      group(store, this->options.rank_timeout) {}

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

absl::StatusOr<const PlanState*> CoreState::FindPlan(const std::string& name) const {
  auto it = plans.find(name);
  if (it != plans.end()) return &it->second;
  return absl::NotFoundError(absl::StrCat("no plan '", Printable(name), "'"));
}

absl::StatusOr<PlanState*> CoreState::FindPlan(const std::string& name) {
  const absl::StatusOr<const PlanState*> plan = std::as_const(*this).FindPlan(name);
  if (!plan.ok()) return plan.status();
  return const_cast<PlanState*>(*plan);
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
  while (std::optional<BatchHeader> header = CutNextBatch(plan)) {
    // The members are recorded in the commit that also holds the rollout which completed the batch.
    // A learner that restarts is given the same members, however rollouts arrive the second time.
    writes.Put(store_keys::Batch(header->plan(), header->batch()), header->SerializeAsString());
    plan.AddBatch(*header);
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
  dirty_plans.clear();
  meta_dirty = false;
  evictions.WritesTaken();
  return std::exchange(writes, Writes());
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
