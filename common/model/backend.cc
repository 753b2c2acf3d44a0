#include "common/model/backend.h"

#include <ATen/Context.h>

#include "absl/strings/str_cat.h"
#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

Backend OnCpu(bool row_invariant) {
  LOG_IF(INFO, row_invariant) << "model.row_invariant: the CPU's kernels always are";
  return Backend::kCpuKernels;
}

}  // namespace

c10::Device DeviceOf(Backend backend) {
  return backend == Backend::kTorchCuda ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
}

absl::StatusOr<Backend> ChooseBackend(absl::string_view device, bool row_invariant) {
  if (device == "CPU") return OnCpu(row_invariant);
  if (device != "AUTO" && device != "CUDA") {
    return absl::InvalidArgumentError(
        absl::StrCat("model.device: '", device, "' must be AUTO, CPU or CUDA"));
  }
#ifdef RECKON_CUDA
  if (at::hasCUDA()) {
    // A product in bf16 may be divided, but its parts are added in fp32.
    at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
    if (row_invariant) SetRowTile(kRowTile);
    return Backend::kTorchCuda;
  }
  constexpr char kWhy[] = "the driver of this machine shows no GPU";
#else
  constexpr char kWhy[] = "this build is for CPUs (docs/cuda.md)";
#endif
  if (device == "AUTO") return OnCpu(row_invariant);
  return absl::FailedPreconditionError(
      absl::StrCat("model.device: CUDA is not available: ", kWhy, "; set it to CPU or AUTO"));
}

}  // namespace reckon
