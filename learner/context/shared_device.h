#ifndef RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_
#define RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_

#include "absl/status/status.h"
#include "learner/context/context.h"

namespace reckon {

// What a rank that shares its device with actors does there by turns (common/base/device_turn.h);
// all no-ops without run.turn:
//
//   TakeDevice   before it loads, scores or trains. Waits for the turn, unless it has it. CANCELLED
//                when stopped.
//   LeaveDevice  before it waits for samples. Gradient and moments leave the device; parameters and
//                the weights of other models stay. A checkpoint can be saved without the turn.
//
// The weights that passes of run.model read stay in one memory that actors open (ShareModel). In
// their turns nobody writes there, so it is the version that they are of without a copy, if they
// are a version's: SharesVersion notes that they are now, and LeaveDevice tells it until they
// change.
absl::Status TakeDevice(RunState& run);
absl::Status LeaveDevice(RunState& run);

// After run.model is loaded, whole and trainable. What cannot be shared (kernels of the CPU,
// shards, no CUDA IPC here) is fetched and loaded by actors as elsewhere.
absl::Status ShareModel(RunState& run);
// run.model is version cursor.version, which was published.
void SharesVersion(RunState& run);

}  // namespace reckon

#endif  // RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_
