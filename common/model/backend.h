#ifndef RECKON_COMMON_MODEL_BACKEND_H_
#define RECKON_COMMON_MODEL_BACKEND_H_

#include <c10/core/Device.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// What computes a model, and so where its tensors are (kernels/interface.h):
//   kCpuKernels  the hand-written row-invariant kernels, on the CPU
//   kTorchCpu    LibTorch's operations, on the CPU: the oracle of tests; not selectable
//   kTorchCuda   LibTorch's operations and the kernels of kernels/cuda, on the first GPU
enum class Backend { kCpuKernels, kTorchCpu, kTorchCuda };

c10::Device DeviceOf(Backend backend);

// The backend for model.device, which is AUTO, CPU or CUDA. AUTO: the GPU if both this build and
// this machine have one. INVALID_ARGUMENT: another word. FAILED_PRECONDITION: CUDA without a GPU.
// `row_invariant` is model.row_invariant: sets the row tile of the process (kernels/torch/
// row_tiles.h) if this is a GPU. The CPU kernels are row-invariant anyway.
absl::StatusOr<Backend> ChooseBackend(absl::string_view device, bool row_invariant = false);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BACKEND_H_
