#ifndef RECKON_COORDINATOR_CORE_BATCH_CUTTER_H_
#define RECKON_COORDINATOR_CORE_BATCH_CUTTER_H_

#include <memory>

#include "coordinator/core/plan_state.h"

namespace reckon {

// The next batch of a plan, if its members are decided. With B = groups_per_batch:
//
//   in key order         batch b is the groups b * B ... b * B + B - 1, once each of them is
//                        complete or set aside. Synchronous and pinned plans.
//   in completion order  the first B complete groups, except that groups near their deadline come
//                        first (staleness.h). Plans with max_staleness > 0.
//
// The last batch of an ended plan may be short, and has no rollouts at all when every group left
// was set aside. Null: not decided yet.
std::shared_ptr<const BatchHeader> CutNextBatch(const PlanState& plan);

// True when the plan has ended or is closed, and every batch that it will have is cut.
bool NoMoreBatches(const PlanState& plan);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_BATCH_CUTTER_H_
