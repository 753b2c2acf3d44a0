#ifndef RECKON_LEARNER_PARALLEL_DEVICE_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_DEVICE_PARALLEL_H_

#include <c10/core/DeviceType.h>

#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "common/base/stop.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// The ranks of `host` with a c10d backend for the tensors that are on `device`: NCCL, and in tests
// one of the same manners on the CPU. What is elsewhere goes through `host`.
//
// The backend runs collectives on a stream of its own. Wait of a PendingCollective orders the
// caller's stream after that and does not wait itself, so it cannot know whether the collective
// will succeed. Every collective that was begun is therefore settled, waited for and asked for its
// error, by the next call that blocks: Settle, AllReduceSum, Broadcast, or a gather in host memory.
// An optimizer step is preceded by one, so no rank steps with what a failed collective has left. An
// error of one is that of all later calls, and ends those that are under way: a rank that is gone
// would keep the device waiting for them, and with it all later work, as the copy of moments that a
// stopped run saves.
std::unique_ptr<Parallel> MakeDeviceParallel(std::unique_ptr<Parallel> host,
                                             c10::intrusive_ptr<c10d::Backend> backend,
                                             c10::DeviceType device, std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_DEVICE_PARALLEL_H_
