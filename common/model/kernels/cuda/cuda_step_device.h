#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_STEP_DEVICE_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_STEP_DEVICE_H_

#include <c10/core/Device.h>

#include <memory>

#include "common/model/decode/step_device.h"

namespace reckon {

// Steps on a stream of their own of a GPU, which is a stream that graphs can be recorded from. A
// graph runs as it is the first time, which also makes the workspaces of LibTorch's products, is
// recorded at the second, and is replayed from then on. All graphs that there are share one memory
// pool, since one runs at a time and none leaves anything in it; the last one returns it.
std::shared_ptr<StepDevice> MakeCudaStepDevice(c10::Device device);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_STEP_DEVICE_H_
