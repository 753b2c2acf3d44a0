#ifndef RECKON_COORDINATOR_BATCH_CUTTER_H_
#define RECKON_COORDINATOR_BATCH_CUTTER_H_

#include <optional>

#include "coordinator/plan_state.h"

namespace reckon {

// The next batch of a plan, when its members are decided:
// - in key order: groups batch * B ... batch * B + B - 1, once each is complete or set aside;
// - else the first B complete groups, as far as the bound on staleness allows: a group that started
//   when `a` batches were applied has to be in a batch below a + max_open_batches. The cut waits
//   for older groups rather than give a younger one a place that they will need.
// The last batch of an ended plan may be short, and empty when all its groups were set aside.
std::optional<BatchHeader> CutNextBatch(const PlanState& plan);

// True when an ended or closed plan will have no batch after those cut.
bool NoMoreBatches(const PlanState& plan);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_BATCH_CUTTER_H_
