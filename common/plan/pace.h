#ifndef RECKON_COMMON_PLAN_PACE_H_
#define RECKON_COMMON_PLAN_PACE_H_

#include "absl/time/time.h"

namespace reckon {

// How a plan's owner talks to the coordinator.
inline constexpr int kAppendItems = 64;  // at most, in one call
// Waits are cut so that a stop is seen soon.
inline constexpr absl::Duration kBatchPoll = absl::Seconds(1);
inline constexpr absl::Duration kWindowPoll = absl::Milliseconds(50);

}  // namespace reckon

#endif  // RECKON_COMMON_PLAN_PACE_H_
