#ifndef RECKON_COMMON_MODEL_BACKEND_H_
#define RECKON_COMMON_MODEL_BACKEND_H_

#include <c10/core/Device.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Who computes, and so where tensors lie: the row-invariant kernels of ops/ on the CPU, or
// LibTorch's own operations (ops/device_ops.h) on a GPU. Those run on the CPU too, where tests hold
// them against the kernels: kAtenCpu is for tests.
enum class Backend { kOwn, kAtenCpu, kCuda };

c10::Device DeviceOf(Backend backend);

// From model.device: AUTO, CPU or CUDA. AUTO: the GPU if this build and this machine have one.
// FAILED_PRECONDITION: CUDA was asked for and is not there.
absl::StatusOr<Backend> ChooseBackend(absl::string_view device);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BACKEND_H_
