#include "coordinator/core/recovery.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/submission.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

constexpr uint32_t kFormat = 1;

template <typename Message>
absl::Status Parse(absl::string_view what, absl::string_view bytes, Message& message) {
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("the store's ", what, " is damaged"));
}

// Calls `each` with the parsed value of every key under `prefix`, until one is an error. `each`
// must not use the store.
template <typename Message, typename Each>
absl::Status ScanMessages(const Store& store, absl::string_view what, const std::string& prefix,
                          Each each) {
  absl::Status status;
  RETURN_IF_ERROR(store.Scan(prefix, "", [&](absl::string_view, absl::string_view value) {
    Message message;
    status = Parse(what, value, message);
    if (status.ok()) status = each(std::move(message));
    return status.ok();
  }));
  return status;
}

// Brings back what the store knows of a group beyond its item.
absl::Status RecoverGroup(const CoreState& state, const PlanState& plan, GroupState& group) {
  const std::string& name = plan.spec().name();
  const uint64_t id = group.item.group();
  const absl::StatusOr<std::string> bytes = state.store->Get(store_keys::Group(name, id));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();  // it has not started
  RETURN_IF_ERROR(bytes.status());
  StoredGroup stored;
  RETURN_IF_ERROR(Parse("group", *bytes, stored));
  group.started = true;
  group.started_at = stored.started_at();
  group.set_aside = stored.set_aside();
  // No lease survives a restart, so every sample is missing until its rollout is found below.
  group.samples.resize(plan.spec().samples_per_group());
  for (SampleState& sample : group.samples) sample.attempts = stored.attempts();
  return ScanMessages<Rollout>(
      *state.store, "rollout", store_keys::GroupRollouts(name, id),
      [&](const Rollout& rollout) -> absl::Status {
        if (rollout.key().sample() >= group.samples.size()) {
          return absl::DataLossError(absl::StrCat("the store has sample ", rollout.key().sample(),
                                                  " of group ", name, "/", id, ", which has ",
                                                  group.samples.size()));
        }
        SampleState& sample = group.samples[rollout.key().sample()];
        // AcceptedSample makes a whole new state; the attempts are not part of a rollout.
        const uint32_t attempts = sample.attempts;
        sample = AcceptedSample(rollout);
        sample.attempts = attempts;
        ++group.accepted;
        return absl::OkStatus();
      });
}

// With retention SELECTED: batches that became durable while it was ALL.
absl::Status RequestEvictions(CoreState& state, const PlanState& plan) {
  if (state.options.retention != CoordinatorSettings::SELECTED) return absl::OkStatus();
  const std::string& name = plan.spec().name();
  const uint64_t end =
      plan.finished() ? plan.record().batches_cut() : plan.record().batches_durable();
  std::vector<uint64_t> batches;
  RETURN_IF_ERROR(state.store->Scan(store_keys::Prefix('b', name), "",
                                    [&](absl::string_view key, absl::string_view) {
                                      if (store_keys::LastNumber(key) >= end) return false;
                                      batches.push_back(store_keys::LastNumber(key));
                                      return true;
                                    }));
  for (uint64_t batch : batches) {
    const absl::Status requested = state.store->Get(store_keys::Evict(name, batch)).status();
    if (absl::IsNotFound(requested)) {
      state.RequestEviction(name, batch);
    } else {
      RETURN_IF_ERROR(requested);
    }
  }
  return absl::OkStatus();
}

absl::Status RecoverPlan(CoreState& state, StoredPlan record) {
  const std::string name = record.spec().name();
  if (PlanState plan(record); plan.finished()) return RequestEvictions(state, plan);
  PlanState& plan = state.plans.emplace(name, PlanState(std::move(record))).first->second;
  state.plan_order.push_back(name);
  RETURN_IF_ERROR(RequestEvictions(state, plan));
  if (!plan.open()) return absl::OkStatus();
  std::vector<GroupState> groups;
  RETURN_IF_ERROR(ScanMessages<WorkItem>(*state.store, "item", store_keys::Prefix('i', name),
                                         [&](WorkItem item) {
                                           groups.emplace_back().item = std::move(item);
                                           return absl::OkStatus();
                                         }));
  for (GroupState& group : groups) RETURN_IF_ERROR(RecoverGroup(state, plan, group));
  plan.Restore(std::move(groups));
  // After Restore, because AddBatch moves groups of these batches from ready to in a batch.
  const StoredPlan& stored = plan.record();
  for (uint64_t batch = stored.batches_applied(); batch < stored.batches_cut(); ++batch) {
    ASSIGN_OR_RETURN(const std::string bytes, state.store->Get(store_keys::Batch(name, batch)));
    const auto header = std::make_shared<BatchHeader>();
    RETURN_IF_ERROR(Parse("batch", bytes, *header));
    plan.AddBatch(header);
  }
  state.CutBatches(plan);
  return absl::OkStatus();
}

absl::Status RecoverNonces(CoreState& state) {
  bool sound = true;
  RETURN_IF_ERROR(state.store->Scan("e", "", [&](absl::string_view key, absl::string_view value) {
    sound = absl::SimpleAtoi(value, &state.nonces[std::string(key.substr(1, key.size() - 2))]);
    return sound;
  }));
  return sound ? absl::OkStatus() : absl::DataLossError("the store's nonce is damaged");
}

}  // namespace

absl::Status Recover(CoreState& state) {
  StoredMeta& meta = state.meta;
  // The head of a new run. It is overwritten below when the store has one.
  meta.set_format(kFormat);
  meta.set_run(state.options.run);
  meta.set_next_lease(1);
  state.meta_dirty = true;
  const absl::StatusOr<std::string> bytes = state.store->Get(store_keys::kMeta);
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  RETURN_IF_ERROR(bytes.status());

  RETURN_IF_ERROR(Parse("head", *bytes, meta));
  if (meta.format() != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("the store has layout ", meta.format(),
                                                      "; this program reads layout ", kFormat,
                                                      ": use the version of Reckon that wrote it"));
  }
  if (!state.options.run.empty() && meta.run() != state.options.run) {
    return absl::FailedPreconditionError(absl::StrCat("the store belongs to run '", meta.run(),
                                                      "', not '", state.options.run,
                                                      "'; choose another folder"));
  }
  state.ledger = LedgerBook::Restored(meta.ledger());
  RETURN_IF_ERROR(state.group.Restore());
  RETURN_IF_ERROR(state.selections.Restore(*state.store));
  RETURN_IF_ERROR(state.weights.Restore(
      *state.store,
      meta.has_version() ? std::optional<uint64_t>(meta.newest_version()) : std::nullopt));
  RETURN_IF_ERROR(RecoverNonces(state));
  // Requests of the past come before those that recovery makes.
  RETURN_IF_ERROR(state.store->Scan("v", "", [&](absl::string_view key, absl::string_view value) {
    state.evictions.Restore({.plan = std::string(key.substr(1, key.size() - 10)),
                             .batch = store_keys::LastNumber(key),
                             .loose = std::string(value)});
    return true;
  }));
  // Collected first, because a callback of Scan must not use the store, which RecoverPlan reads.
  std::vector<StoredPlan> plans;
  RETURN_IF_ERROR(ScanMessages<StoredPlan>(*state.store, "plan", "p", [&](StoredPlan record) {
    state.plans_opened = std::max<uint64_t>(state.plans_opened, record.opened() + 1);
    plans.push_back(std::move(record));
    return absl::OkStatus();
  }));
  std::sort(plans.begin(), plans.end(),
            [](const StoredPlan& a, const StoredPlan& b) { return a.opened() < b.opened(); });
  for (StoredPlan& record : plans) RETURN_IF_ERROR(RecoverPlan(state, std::move(record)));
  return absl::OkStatus();
}

}  // namespace reckon
