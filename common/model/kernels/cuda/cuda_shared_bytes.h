#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_SHARED_BYTES_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_SHARED_BYTES_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/shared_bytes.h"

namespace reckon {

// SharedBytes on a GPU. The allocation is one of its own, from cudaMalloc: a handle of CUDA IPC
// names a whole allocation, and those of LibTorch's allocator have other tensors in them. A process
// cannot open a handle that it has made.
absl::StatusOr<SharedBytes> MakeCudaSharedBytes(c10::Device device, int64_t bytes);
absl::StatusOr<at::Tensor> OpenCudaSharedBytes(c10::Device device, const std::string& handle,
                                               int64_t bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_CUDA_SHARED_BYTES_H_
