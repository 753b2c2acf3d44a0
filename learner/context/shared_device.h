#ifndef RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_
#define RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
// Each of several ranks has a device, actors on it and a turn of its own; or the device for itself.
// A step of the group, on two of them:
//
//   leader   AllLeaveDevices | waits for samples | . | AllTakeDevices           | computes
//   rank 1   AllLeaveDevices | . . . waits for the leader .  | AllTakeDevices   | computes
//   actor 0                  | its turn: draws             |   leaves           |
//   actor 1                  | its turn: draws . . . . . . . . | leaves         |
//
// Nobody waits for ever, because a rank waits in a collective for another one only where that one
// comes without samples, or where it has no turn itself:
//   - While the leader waits for samples, no other rank has a turn, or each that has is on its way
//     to LeaveDevice with no collective before it: in a step after AllLeaveDevices, and where the
//     leader samples or evaluates alone (LeaveToLeader) at the same point of the run. So every
//     actor that has work gets its turn, and the samples come (device_turn.h).
//   - A rank takes its turn again only after the leader has begun AllTakeDevices, which it does
//     when its samples are there. Then it waits for its actors alone, which leave by themselves.
//   - No rank computes before all have their turns, so a collective of the device is never begun
//     where one of its ranks would still have to wait for an actor.
//   - The leader scores alone (a reward model) with its turn and no collective.
// A rank or an actor that is killed loses its locks. Ranks that wait for a rank that is gone learn
// it from the collective: those that wait for turns begin one every second.
//
// The weights that passes of run.model read stay in one memory that actors open (ShareModel). In
// their turns nobody writes there, so it is the version that they are of without a copy, if they
// are a version's: SharesVersion notes that they are now, and LeaveDevice tells it until they
// change. Ranks that are replicated each do so on their device.
absl::Status TakeDevice(RunState& run);
absl::Status LeaveDevice(RunState& run);

// Whether this rank may compute on its device, and needs to ask nobody for memory there.
bool HasDevice(const RunState& run);
// Before anything that computes there: it is our bug to do so without the turn.
void CheckHasDevice(const RunState& run);

// Collectives, where some rank takes turns (run.turns_taken); otherwise no-ops.
//
// All ranks take their devices and wait until all have them, however long their actors take. False
// on every rank: one is stopped, and none has its device by a turn.
absl::StatusOr<bool> AllTakeDevices(RankContext& ranks);
// The same; Stopped(run) in the place of false.
absl::Status AllNeedDevices(RankContext& ranks);
// All ranks leave their devices, if the leader is about to wait for samples (`waits`, its word).
absl::Status AllLeaveDevices(RankContext& ranks, bool waits);
// Whether every rank has its device.
absl::StatusOr<bool> AllHaveDevices(RankContext& ranks);

// No collective: of the ranks but the leader, before they wait for what it does alone and may need
// samples for. The leader leaves its device where it samples.
absl::Status LeaveToLeader(RankContext& ranks);

// After run.model is loaded, whole and trainable. What cannot be shared (kernels of the CPU,
// shards, no CUDA IPC here) is fetched and loaded by actors as elsewhere.
absl::Status ShareModel(RunState& run);
// run.model is version cursor.version, which was published.
void SharesVersion(RunState& run);

}  // namespace reckon

#endif  // RECKON_LEARNER_CONTEXT_SHARED_DEVICE_H_
