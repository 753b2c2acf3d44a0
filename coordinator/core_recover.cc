// How the core comes back from its store.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core.h"
#include "coordinator/rollout_check.h"
#include "coordinator/store_keys.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<Core>> Core::Recover(const Store* store, CoreOptions options) {
  std::unique_ptr<Core> core(new Core(store, std::move(options)));
  core->meta_.set_format(kFormat);
  core->meta_.set_run(core->options_.run);
  core->meta_.set_next_lease(1);
  core->meta_dirty_ = true;
  const absl::StatusOr<std::string> bytes = store->Get(store_keys::kMeta);
  if (absl::IsNotFound(bytes.status())) return core;
  RETURN_IF_ERROR(bytes.status());

  StoredMeta& meta = core->meta_;
  RETURN_IF_ERROR(Parse("head", *bytes, meta));
  if (meta.format() != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store has layout ", meta.format(), "; this program reads ", kFormat));
  }
  if (!core->options_.run.empty() && meta.run() != core->options_.run) {
    return absl::FailedPreconditionError(absl::StrCat("the store belongs to run '", meta.run(),
                                                      "', not '", core->options_.run,
                                                      "'; give another folder"));
  }
  core->ledger_ = LedgerBook::Restored(meta.ledger());
  RETURN_IF_ERROR(core->selections_.Restore());
  RETURN_IF_ERROR(core->weights_.Restore(
      meta.has_version() ? std::optional<uint64_t>(meta.newest_version()) : std::nullopt));

  std::vector<StoredPlan> plans;
  absl::Status parsed;
  RETURN_IF_ERROR(store->Scan("p", "", [&](absl::string_view, absl::string_view value) {
    parsed = Parse("plan", value, plans.emplace_back());
    return parsed.ok();
  }));
  RETURN_IF_ERROR(parsed);
  for (StoredPlan& plan : plans) RETURN_IF_ERROR(core->RestorePlan(std::move(plan)));
  RETURN_IF_ERROR(store->Scan("v", "", [&](absl::string_view key, absl::string_view) {
    core->to_evict_.emplace_back(std::string(key.substr(1, key.size() - 10)),
                                 store_keys::LastNumber(key));
    return true;
  }));
  return core;
}

absl::Status Core::RestorePlan(StoredPlan record) {
  const std::string name = record.spec().name();
  PlanState& plan = plans_.emplace(name, PlanState(std::move(record))).first->second;
  plan_order_.push_back(name);
  if (!plan.open()) return absl::OkStatus();

  std::vector<GroupState> groups;
  absl::Status parsed;
  RETURN_IF_ERROR(store_->Scan(store_keys::Prefix('i', name), "",
                               [&](absl::string_view, absl::string_view value) {
                                 parsed = Parse("item", value, groups.emplace_back().item);
                                 return parsed.ok();
                               }));
  RETURN_IF_ERROR(parsed);
  for (GroupState& group : groups) RETURN_IF_ERROR(RestoreGroup(plan, group));
  plan.Restore(std::move(groups));
  for (uint64_t batch = plan.record().batches_applied(); batch < plan.record().batches_cut();
       ++batch) {
    ASSIGN_OR_RETURN(const std::string bytes, store_->Get(store_keys::Batch(name, batch)));
    BatchHeader header;
    RETURN_IF_ERROR(Parse("batch", bytes, header));
    plan.AddBatch(header);
  }
  CutBatches(plan);
  return absl::OkStatus();
}

absl::Status Core::RestoreGroup(const PlanState& plan, GroupState& group) const {
  const std::string& name = plan.spec().name();
  const uint64_t id = group.item.group();
  const absl::StatusOr<std::string> bytes = store_->Get(store_keys::Group(name, id));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  RETURN_IF_ERROR(bytes.status());
  StoredGroup stored;
  RETURN_IF_ERROR(Parse("group", *bytes, stored));
  group.started = true;
  group.started_at = stored.started_at();
  group.set_aside = stored.set_aside();
  group.samples.resize(plan.spec().samples_per_group());
  for (SampleState& sample : group.samples) sample.attempts = stored.attempts();

  absl::Status parsed;
  Rollout rollout;
  RETURN_IF_ERROR(store_->Scan(store_keys::GroupRollouts(name, id), "",
                               [&](absl::string_view, absl::string_view value) {
                                 parsed = Parse("rollout", value, rollout);
                                 if (!parsed.ok() || rollout.key().sample() >= group.samples.size())
                                   return false;
                                 SampleState& sample = group.samples[rollout.key().sample()];
                                 sample.kind = SampleState::kAccepted;
                                 sample.fingerprint = Fingerprint(rollout);
                                 sample.version = SampledVersions(rollout).oldest;
                                 sample.num_tokens = CountTokens(rollout);
                                 sample.reward = rollout.reward();
                                 ++group.accepted;
                                 return true;
                               }));
  return parsed;
}

}  // namespace reckon
