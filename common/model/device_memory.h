#ifndef RECKON_COMMON_MODEL_DEVICE_MEMORY_H_
#define RECKON_COMMON_MODEL_DEVICE_MEMORY_H_

#include <cstdint>

#include "common/model/backend.h"

namespace reckon {

// LibTorch keeps what tensors have freed for the next ones of this process. Gives it back to the
// device, and on a CPU to the machine, so that another process may have it. Throws what LibTorch
// throws.
void ReturnFreedMemory(Backend backend);

// Waits until the device has done what it was given.
void FinishWork(Backend backend);

// What is free on a GPU, for all of its processes together.
int64_t FreeDeviceBytes(Backend backend);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DEVICE_MEMORY_H_
