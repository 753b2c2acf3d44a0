#ifndef RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_
#define RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/core_state.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The events of a plan's owner: a learner, or `reckon eval`. Each is the RPC of the same name in
// proto/coordinator.proto, which says what it returns; an error changes nothing. All but NextBatch
// check the learner term first. What they return means nothing while `reads` wants a record.

absl::StatusOr<OpenPlanReply> OpenPlan(CoreState& state, const OpenPlanRequest& request,
                                       Reads& reads);
absl::StatusOr<AppendGroupsReply> AppendGroups(CoreState& state, const AppendGroupsRequest& request,
                                               Reads& reads);
// The header is shared, because it may be large: it is copied without the core's lock.
struct NextBatchAnswer {
  std::shared_ptr<const BatchHeader> header;  // or null, and:
  bool end_of_plan = false;
};
// Without a value: the batch is not cut yet, or its record is not on the disk yet. NOT_FOUND also
// for a batch that was evicted.
absl::StatusOr<std::optional<NextBatchAnswer>> NextBatch(CoreState& state,
                                                         const NextBatchRequest& request,
                                                         Reads& reads);
absl::Status MarkApplied(CoreState& state, const MarkAppliedRequest& request, Reads& reads);
absl::Status MarkDurable(CoreState& state, const MarkDurableRequest& request, Reads& reads);
absl::Status ClosePlan(CoreState& state, const ClosePlanRequest& request, Reads& reads);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_PLAN_EVENTS_H_
