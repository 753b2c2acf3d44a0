#ifndef RECKON_COMMON_MODEL_BROADCAST_DEVICE_BROADCAST_H_
#define RECKON_COMMON_MODEL_BROADCAST_DEVICE_BROADCAST_H_

#include <c10/core/Device.h>

#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "common/model/broadcast/broadcast_group.h"

namespace reckon {

// A group whose backend broadcasts tensors on a device: NCCL, and in tests another one on the CPU.
// The bytes are on the host on either side, so pieces of them pass through two buffers of the
// device: while one is broadcast, the other is filled, or emptied. On a GPU this has a stream of
// its own, and so waits for nothing that the process computes meanwhile. `silence`: of
// BroadcastPlace, for each piece.
std::unique_ptr<BroadcastGroup> MakeDeviceBroadcast(c10::intrusive_ptr<c10d::Backend> backend,
                                                    c10::Device device, absl::Duration silence);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_DEVICE_BROADCAST_H_
