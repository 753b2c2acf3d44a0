#ifndef RECKON_COMMON_MODEL_DEVICE_MEMORY_H_
#define RECKON_COMMON_MODEL_DEVICE_MEMORY_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"

namespace reckon {

// For programs that compute, once, first in main: KeepFreedMemory, and LibTorch's tensors in host
// memory in huge pages, as AllocateBytes has them.
void PrepareHostMemory();

// LibTorch keeps what tensors have freed for the next ones of this process. Gives it back to the
// device, and on a CPU to the machine, so that another process may have it. Throws what LibTorch
// throws.
void ReturnFreedMemory(Backend backend);

// `from`, of host memory, on a device. The host does not wait for what the device still has to do,
// and `from` may change as soon as this returns; on the CPU it is `from` itself.
at::Tensor SendToDevice(const at::Tensor& from, c10::Device device);

// Waits until the device has done what it was given.
void FinishWork(Backend backend);

// What is free on a GPU, for all of its processes together.
int64_t FreeDeviceBytes(Backend backend);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DEVICE_MEMORY_H_
