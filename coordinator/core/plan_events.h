#ifndef RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_
#define RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/core_state.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The events of a plan's owner: a learner, or `reckon eval`. Each is the RPC of the same name in
// proto/coordinator.proto, which says what it returns; an error changes nothing. All but NextBatch
// check the learner term first.

absl::StatusOr<OpenPlanReply> OpenPlan(CoreState& state, const OpenPlanRequest& request);
absl::StatusOr<AppendGroupsReply> AppendGroups(CoreState& state,
                                               const AppendGroupsRequest& request);
// Without a value: the batch is not cut yet, or its record is not on the disk yet.
absl::StatusOr<std::optional<NextBatchReply>> NextBatch(const CoreState& state,
                                                        const NextBatchRequest& request);
absl::Status MarkApplied(CoreState& state, const MarkAppliedRequest& request);
absl::Status MarkDurable(CoreState& state, const MarkDurableRequest& request);
absl::Status ClosePlan(CoreState& state, const ClosePlanRequest& request);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_
