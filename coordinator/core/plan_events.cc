#include "coordinator/core/plan_events.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/batch_cutter.h"
#include "coordinator/core/lease_events.h"
#include "coordinator/core/request_check.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

// Checks that items repeat the plan's groups from `first` and extend them without a gap.
absl::Status CheckItems(PlanState& plan, const AppendGroupsRequest& request) {
  for (int i = 0; i < request.items_size(); ++i) {
    const WorkItem& item = request.items(i);
    const uint64_t expected = request.first_group() + i;
    if (item.group() != expected) {
      return BadRequest("items[", i, "].group is ", item.group(), ", not ", expected);
    }
    RETURN_IF_ERROR(CheckWorkItem(item));
    // Items of applied batches have left memory and are not compared: their rollouts are counted
    // already, so another item could change nothing.
    const GroupState* group = plan.Find(item.group());
    if (group != nullptr && group->item.SerializeAsString() != item.SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("group ", item.group(), " was appended with another item"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAppend(const CoreState& state, PlanState& plan,
                         const AppendGroupsRequest& request) {
  if (!plan.open()) return absl::FailedPreconditionError("the plan is closed");
  const uint64_t known = plan.record().appended_groups();
  if (request.first_group() > known) {
    return BadRequest("first_group is ", request.first_group(), "; the plan has ", known,
                      " groups");
  }
  RETURN_IF_ERROR(CheckItems(plan, request));
  const uint64_t end = request.first_group() + request.items_size();
  if (plan.record().end_of_plan() && end > known) {
    return absl::FailedPreconditionError(absl::StrCat("the plan ended with ", known, " groups"));
  }
  if (request.end_of_plan() && end < known) {
    return BadRequest("end_of_plan at group ", end, "; the plan has ", known, " groups");
  }
  // The window bounds memory: a plan may have any number of groups, but items of groups that are
  // not complete are resident.
  const uint64_t added = end > known ? end - known : 0;
  if (plan.incomplete() + added > state.options.max_resident_groups) {
    return absl::ResourceExhaustedError(absl::StrCat(
        plan.incomplete(), " groups are not complete and ", added, " more would exceed ",
        state.options.max_resident_groups, "; consume batches and append again"));
  }
  return absl::OkStatus();
}

// The plan is closed: no batch will have the rollouts of these groups.
void EvictLoose(CoreState& state, const PlanState& plan) {
  BatchHeader loose;
  for (const auto& [id, group] : plan.groups()) {
    if (group.in_batch) continue;
    if (group.set_aside) loose.add_set_aside(id);
    for (uint32_t sample = 0; sample < group.samples.size() && !group.set_aside; ++sample) {
      if (group.samples[sample].kind != SampleState::kAccepted) continue;
      RolloutKey* key = loose.add_rollouts()->mutable_key();
      key->set_group(id);
      key->set_sample(sample);
    }
  }
  if (loose.rollouts().empty() && loose.set_aside().empty()) return;
  state.RequestEviction(plan.spec().name(), plan.record().batches_cut(), loose.SerializeAsString());
}

// The plan is finished: nobody will take the batches that were cut and not applied.
void EvictUnused(CoreState& state, const PlanState& plan) {
  const StoredPlan& record = plan.record();
  for (uint64_t batch = record.batches_applied(); batch < record.batches_cut(); ++batch) {
    state.RequestEviction(plan.spec().name(), batch);
  }
}

}  // namespace

absl::StatusOr<OpenPlanReply> OpenPlan(CoreState& state, const OpenPlanRequest& request,
                                       Reads& reads) {
  RETURN_IF_ERROR(state.CheckTerm(request.term()));
  RETURN_IF_ERROR(CheckPlanSpec(request.spec()));
  const std::string& name = request.spec().name();
  absl::StatusOr<std::shared_ptr<PlanState>> plan = state.FindPlan(name, reads);
  if (reads.wanted()) return OpenPlanReply();
  if (absl::IsNotFound(plan.status())) {
    StoredPlan record;
    *record.mutable_spec() = request.spec();
    record.set_opened(state.plans_opened++);
    PlanState& opened = state.plans.emplace(name, PlanState(std::move(record))).first->second;
    state.plan_order.push_back(name);
    state.MarkDirty(opened);
    return OpenPlanReply();
  }
  RETURN_IF_ERROR(plan.status());
  const StoredPlan& record = (*plan)->record();
  if (record.spec().SerializeAsString() != request.spec().SerializeAsString()) {
    return absl::AlreadyExistsError(
        absl::StrCat("plan '", name, "' exists with another specification"));
  }
  OpenPlanReply reply;
  reply.set_appended_groups(record.appended_groups());
  reply.set_next_batch(record.batches_applied());
  reply.set_end_of_plan(record.end_of_plan());
  return reply;
}

absl::StatusOr<AppendGroupsReply> AppendGroups(CoreState& state, const AppendGroupsRequest& request,
                                               Reads& reads) {
  RETURN_IF_ERROR(state.CheckTerm(request.term()));
  ASSIGN_OR_RETURN(const std::shared_ptr<PlanState> plan, state.FindPlan(request.plan(), reads));
  if (plan == nullptr) return AppendGroupsReply();
  RETURN_IF_ERROR(CheckAppend(state, *plan, request));
  const uint64_t known = plan->record().appended_groups();
  const uint64_t end = request.first_group() + request.items_size();
  // A repeated call appends what the first one did not: items below `known` were compared above and
  // are skipped.
  for (uint64_t group = known; group < end; ++group) {
    const WorkItem& item = request.items(static_cast<int>(group - request.first_group()));
    state.writes.Put(store_keys::Item(request.plan(), group), item.SerializeAsString());
    plan->Append(item);
  }
  if (end > known) {
    state.MarkDirty(*plan);
    state.changed |= kWorkChanged;
  }
  if (request.end_of_plan() && !plan->record().end_of_plan()) {
    plan->mutable_record().set_end_of_plan(true);
    state.MarkDirty(*plan);
    state.changed |= kBatchesChanged;
    // The groups that are left may be fewer than a batch: only the end of the plan decides that
    // they are the last one.
    state.CutBatches(*plan);
  }
  AppendGroupsReply reply;
  reply.set_appended_groups(plan->record().appended_groups());
  return reply;
}

absl::StatusOr<std::optional<NextBatchAnswer>> NextBatch(CoreState& state,
                                                         const NextBatchRequest& request,
                                                         Reads& reads) {
  ASSIGN_OR_RETURN(const std::shared_ptr<PlanState> plan, state.FindPlan(request.plan(), reads));
  if (plan == nullptr) return std::nullopt;
  NextBatchAnswer answer = {.header = plan->UnappliedBatch(request.batch())};
  if (answer.header != nullptr) return answer;
  if (request.batch() < plan->record().batches_cut()) {
    const std::optional<std::string>* bytes =
        reads.Find(store_keys::Batch(request.plan(), request.batch()));
    if (bytes == nullptr) return std::nullopt;
    if (!bytes->has_value()) {
      if (plan->finished() || request.batch() < plan->record().batches_durable()) {
        return absl::NotFoundError(
            absl::StrCat("batch ", request.batch(), " of plan '", request.plan(), "' was evicted"));
      }
      // Cut and applied within the last commits: its record is still being written.
      return std::nullopt;
    }
    const auto header = std::make_shared<BatchHeader>();
    if (!header->ParseFromString(**bytes))
      return absl::DataLossError("a batch's record is damaged");
    answer.header = header;
    return answer;
  }
  // The end is told only after every batch was cut, so a caller that counts batches up sees each of
  // them before it.
  if (!NoMoreBatches(*plan)) return std::nullopt;
  answer.end_of_plan = true;
  return answer;
}

absl::Status MarkApplied(CoreState& state, const MarkAppliedRequest& request, Reads& reads) {
  RETURN_IF_ERROR(state.CheckTerm(request.term()));
  ASSIGN_OR_RETURN(const std::shared_ptr<PlanState> plan, state.FindPlan(request.plan(), reads));
  if (plan == nullptr) return absl::OkStatus();
  const uint64_t applied = plan->record().batches_applied();
  if (request.batch() < applied) return absl::OkStatus();  // a repeat, or a learner's replay
  if (plan->finished()) return absl::FailedPreconditionError("the plan is finished");
  if (request.batch() >= plan->record().batches_cut()) {
    return BadRequest("batch ", request.batch(), " is not cut yet");
  }
  if (request.batch() > applied) {
    return absl::FailedPreconditionError(
        absl::StrCat("batch ", applied, " must be applied before ", request.batch()));
  }
  // Recovery reads items and groups of unapplied batches only; the rollouts stay.
  for (uint64_t group : plan->ApplyNextBatch(request.version())) {
    state.writes.Delete(store_keys::Item(request.plan(), group));
    state.writes.Delete(store_keys::Group(request.plan(), group));
  }
  state.MarkDirty(*plan);
  state.changed |= kWorkChanged;
  return absl::OkStatus();
}

absl::Status MarkDurable(CoreState& state, const MarkDurableRequest& request, Reads& reads) {
  RETURN_IF_ERROR(state.CheckTerm(request.term()));
  ASSIGN_OR_RETURN(const std::shared_ptr<PlanState> plan, state.FindPlan(request.plan(), reads));
  if (plan == nullptr) return absl::OkStatus();
  StoredPlan& record = plan->mutable_record();
  if (request.batch() >= record.batches_applied()) {
    return BadRequest("batch ", request.batch(), " is not applied yet");
  }
  if (request.batch() < record.batches_durable()) return absl::OkStatus();  // a repeat
  // Requests for eviction are written in the same commit as the number of durable batches: a
  // restart neither forgets one nor evicts a batch of which no checkpoint knows.
  for (uint64_t batch = record.batches_durable(); batch <= request.batch(); ++batch) {
    state.RequestEviction(request.plan(), batch);
  }
  record.set_batches_durable(request.batch() + 1);
  if (plan->finished()) EvictUnused(state, *plan);
  state.MarkDirty(*plan);
  return absl::OkStatus();
}

absl::Status ClosePlan(CoreState& state, const ClosePlanRequest& request, Reads& reads) {
  RETURN_IF_ERROR(state.CheckTerm(request.term()));
  ASSIGN_OR_RETURN(const std::shared_ptr<PlanState> plan, state.FindPlan(request.plan(), reads));
  if (plan == nullptr || !plan->open()) return absl::OkStatus();
  // Before Clear: the end of a lease updates its group, which must still be in memory, and the
  // ledger counts the samples as returned.
  ReleaseLeasesOfPlan(state, request.plan());
  for (const auto& [group, unused] : plan->groups()) {
    state.writes.Delete(store_keys::Item(request.plan(), group));
    state.writes.Delete(store_keys::Group(request.plan(), group));
  }
  EvictLoose(state, *plan);
  plan->Clear();
  plan->mutable_record().set_closed(true);
  if (plan->finished()) EvictUnused(state, *plan);
  state.MarkDirty(*plan);
  state.changed |= kBatchesChanged;
  return absl::OkStatus();
}

}  // namespace reckon
