// The plan owner's events.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "coordinator/batch_cutter.h"
#include "coordinator/core.h"
#include "coordinator/request_check.h"
#include "coordinator/store_keys.h"

namespace reckon {

absl::StatusOr<PlanState*> Core::FindPlan(const std::string& name) {
  auto it = plans_.find(name);
  if (it == plans_.end())
    return absl::NotFoundError(absl::StrCat("no plan '", Printable(name), "'"));
  return &it->second;
}

absl::StatusOr<OpenPlanReply> Core::OpenPlan(const OpenPlanRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  RETURN_IF_ERROR(CheckPlanSpec(request.spec()));
  const std::string& name = request.spec().name();
  auto it = plans_.find(name);
  if (it != plans_.end()) {
    if (it->second.spec().SerializeAsString() != request.spec().SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("plan '", name, "' is there with another specification"));
    }
  } else {
    StoredPlan record;
    *record.mutable_spec() = request.spec();
    it = plans_.emplace(name, PlanState(std::move(record))).first;
    plan_order_.push_back(name);
    Touch(it->second);
  }
  const StoredPlan& record = it->second.record();
  OpenPlanReply reply;
  reply.set_appended_groups(record.appended_groups());
  reply.set_next_batch(record.batches_applied());
  reply.set_end_of_plan(record.end_of_plan());
  return reply;
}

absl::StatusOr<AppendGroupsReply> Core::AppendGroups(const AppendGroupsRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  ASSIGN_OR_RETURN(PlanState * plan, FindPlan(request.plan()));
  if (!plan->open()) return absl::FailedPreconditionError("the plan is closed");
  const StoredPlan& record = plan->record();
  const uint64_t known = record.appended_groups();
  const uint64_t first = request.first_group();
  if (first > known) {
    return absl::InvalidArgumentError(
        absl::StrCat("first_group is ", first, "; the plan has ", known, " groups"));
  }
  const uint64_t end = first + request.items_size();
  for (int i = 0; i < request.items_size(); ++i) {
    const WorkItem& item = request.items(i);
    if (item.group() != first + i) {
      return absl::InvalidArgumentError(
          absl::StrCat("items[", i, "].group is ", item.group(), ", not ", first + i));
    }
    RETURN_IF_ERROR(CheckWorkItem(item));
    const GroupState* group = plan->Find(item.group());
    if (group != nullptr && group->item.SerializeAsString() != item.SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("group ", item.group(), " is there with another item"));
    }
  }
  if (record.end_of_plan() && end > known) {
    return absl::FailedPreconditionError(absl::StrCat("the plan ended with ", known, " groups"));
  }
  if (request.end_of_plan() && end < known) {
    return absl::InvalidArgumentError(
        absl::StrCat("end_of_plan at group ", end, "; the plan has ", known, " groups"));
  }
  const uint64_t fresh = end > known ? end - known : 0;
  if (plan->incomplete() + fresh > options_.max_resident_groups) {
    return absl::ResourceExhaustedError(
        absl::StrCat(plan->incomplete(), " groups are resident and not complete, ", fresh,
                     " more would pass ", options_.max_resident_groups));
  }
  for (uint64_t group = known; group < end; ++group) {
    const WorkItem& item = request.items(static_cast<int>(group - first));
    writes_.Put(store_keys::Item(request.plan(), group), item.SerializeAsString());
    plan->Append(item);
  }
  const bool ends = request.end_of_plan() && !record.end_of_plan();
  if (ends) plan->mutable_record().set_end_of_plan(true);
  if (fresh > 0 || ends) Touch(*plan);
  if (fresh > 0) changed_ |= kWorkChanged;
  if (ends) {
    changed_ |= kBatchesChanged;
    CutBatches(*plan);
  }
  AppendGroupsReply reply;
  reply.set_appended_groups(record.appended_groups());
  return reply;
}

void Core::CutBatches(PlanState& plan) {
  while (std::optional<BatchHeader> header = CutNextBatch(plan)) {
    writes_.Put(store_keys::Batch(header->plan(), header->batch()), header->SerializeAsString());
    plan.AddBatch(*header);
    Touch(plan);
    changed_ |= kBatchesChanged;
  }
}

absl::StatusOr<std::optional<NextBatchReply>> Core::NextBatch(
    const NextBatchRequest& request) const {
  auto it = plans_.find(request.plan());
  if (it == plans_.end()) {
    return absl::NotFoundError(absl::StrCat("no plan '", Printable(request.plan()), "'"));
  }
  const PlanState& plan = it->second;
  NextBatchReply reply;
  if (const BatchHeader* header = plan.UnappliedBatch(request.batch())) {
    *reply.mutable_header() = *header;
    return reply;
  }
  if (request.batch() < plan.record().batches_cut()) {
    const absl::StatusOr<std::string> bytes =
        store_->Get(store_keys::Batch(request.plan(), request.batch()));
    // Cut and applied a moment ago and not on the disk yet.
    if (absl::IsNotFound(bytes.status())) return std::nullopt;
    RETURN_IF_ERROR(bytes.status());
    if (!reply.mutable_header()->ParseFromString(*bytes)) {
      return absl::DataLossError("a batch's record is damaged");
    }
    return reply;
  }
  if (!NoMoreBatches(plan)) return std::nullopt;
  reply.set_end_of_plan(true);
  return reply;
}

absl::Status Core::MarkApplied(const MarkAppliedRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  ASSIGN_OR_RETURN(PlanState * plan, FindPlan(request.plan()));
  const uint64_t applied = plan->record().batches_applied();
  if (request.batch() < applied) return absl::OkStatus();  // a repeat, or a learner's replay
  if (request.batch() >= plan->record().batches_cut()) {
    return absl::InvalidArgumentError(absl::StrCat("batch ", request.batch(), " is not cut yet"));
  }
  if (request.batch() > applied) {
    return absl::FailedPreconditionError(
        absl::StrCat("batch ", applied, " has to be applied before ", request.batch()));
  }
  for (uint64_t group : plan->ApplyNextBatch(request.version())) {
    writes_.Delete(store_keys::Item(request.plan(), group));
    writes_.Delete(store_keys::Group(request.plan(), group));
  }
  Touch(*plan);
  changed_ |= kWorkChanged;
  return absl::OkStatus();
}

absl::Status Core::MarkDurable(const MarkDurableRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  ASSIGN_OR_RETURN(PlanState * plan, FindPlan(request.plan()));
  const StoredPlan& record = plan->record();
  if (request.batch() >= record.batches_applied()) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch ", request.batch(), " is not applied yet"));
  }
  const uint64_t first = record.batches_durable();
  if (request.batch() < first) return absl::OkStatus();
  for (uint64_t batch = first; batch <= request.batch() && !request.keep_rollouts(); ++batch) {
    writes_.Put(store_keys::Evict(request.plan(), batch), "");
    to_evict_.emplace_back(request.plan(), batch);
  }
  plan->mutable_record().set_batches_durable(request.batch() + 1);
  Touch(*plan);
  return absl::OkStatus();
}

absl::Status Core::EvictOneBatch() {
  if (to_evict_.empty()) return absl::OkStatus();
  const auto [name, batch] = to_evict_.front();
  BatchHeader header;
  const absl::StatusOr<std::string> bytes = store_->Get(store_keys::Batch(name, batch));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();  // still to be written
  RETURN_IF_ERROR(bytes.status());
  if (!header.ParseFromString(*bytes)) return absl::DataLossError("a batch's record is damaged");
  std::vector<RolloutKey> keys;
  for (const RolloutHeader& rollout : header.rollouts()) keys.push_back(rollout.key());
  for (uint64_t group : header.set_aside()) {
    RolloutKey key;
    key.set_plan(name);
    key.set_group(group);
    RETURN_IF_ERROR(store_->Scan(store_keys::GroupRollouts(name, group), "",
                                 [&](absl::string_view stored, absl::string_view) {
                                   key.set_sample(store_keys::LastNumber(stored) & 0xffffffff);
                                   keys.push_back(key);
                                   return true;
                                 }));
  }
  Writes deletes;
  for (const RolloutKey& key : keys) {
    const std::string named = store_keys::Named(key);
    if (unwritten_names_.count(named) > 0) continue;
    const absl::Status kept = store_->Get(named).status();
    if (kept.ok()) continue;
    if (!absl::IsNotFound(kept)) return kept;
    deletes.Delete(store_keys::Rollout(key));
  }
  const uint64_t evicted = deletes.ops.size();
  for (Writes::Op& op : deletes.ops) writes_.Delete(std::move(op.key));
  writes_.Delete(store_keys::Evict(name, batch));
  to_evict_.pop_front();
  meta_.set_evicted(meta_.evicted() + evicted);
  meta_dirty_ = true;
  return absl::OkStatus();
}

absl::Status Core::ClosePlan(const ClosePlanRequest& request) {
  RETURN_IF_ERROR(CheckEpoch(request.epoch()));
  ASSIGN_OR_RETURN(PlanState * plan, FindPlan(request.plan()));
  if (!plan->open()) return absl::OkStatus();
  for (uint64_t lease : leases_.OfPlan(request.plan())) EndLease(lease, Ending::kReturned);
  for (const auto& [group, state] : plan->groups()) {
    writes_.Delete(store_keys::Item(request.plan(), group));
    writes_.Delete(store_keys::Group(request.plan(), group));
  }
  plan->Clear();
  plan->mutable_record().set_closed(true);
  Touch(*plan);
  changed_ |= kBatchesChanged;
  return absl::OkStatus();
}

}  // namespace reckon
