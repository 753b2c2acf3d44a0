#include "common/model/kernels/cuda/cuda_shared_bytes.h"

#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cstring>

#include "absl/strings/str_cat.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Clears the error, which would else be that of the next call.
absl::Status CudaFailure(absl::StatusCode code, absl::string_view what, cudaError_t error) {
  cudaGetLastError();
  return absl::Status(code, absl::StrCat(what, ": ", cudaGetErrorString(error)));
}

at::Tensor CudaTensorOver(void* memory, c10::Device device, int64_t bytes,
                          cudaError_t (*free)(void*)) {
  return at::from_blob(
      memory, {bytes},
      [device, free](void* at) {
        const c10::cuda::CUDAGuard guard(device);
        const cudaError_t error = free(at);
        LOG_IF(WARNING, error != cudaSuccess)
            << "shared memory of the GPU: " << cudaGetErrorString(error);
      },
      at::TensorOptions(at::kByte).device(device));
}

}  // namespace

absl::StatusOr<SharedBytes> MakeCudaSharedBytes(c10::Device device, int64_t bytes) {
  const c10::cuda::CUDAGuard guard(device);
  void* memory = nullptr;
  if (const cudaError_t error = cudaMalloc(&memory, bytes); error != cudaSuccess) {
    return CudaFailure(absl::StatusCode::kResourceExhausted, "shared memory of the GPU", error);
  }
  SharedBytes out;
  out.bytes = CudaTensorOver(memory, device, bytes, [](void* at) { return cudaFree(at); });
  cudaIpcMemHandle_t handle;
  if (const cudaError_t error = cudaIpcGetMemHandle(&handle, memory); error != cudaSuccess) {
    return CudaFailure(absl::StatusCode::kUnimplemented, "a handle of CUDA IPC", error);
  }
  out.handle.assign(reinterpret_cast<const char*>(&handle), sizeof(handle));
  return out;
}

absl::StatusOr<at::Tensor> OpenCudaSharedBytes(c10::Device device, const std::string& handle,
                                               int64_t bytes) {
  cudaIpcMemHandle_t theirs;
  if (handle.size() != sizeof(theirs)) return absl::NotFoundError("no handle of CUDA IPC");
  std::memcpy(&theirs, handle.data(), sizeof(theirs));
  const c10::cuda::CUDAGuard guard(device);
  void* memory = nullptr;
  if (const cudaError_t error =
          cudaIpcOpenMemHandle(&memory, theirs, cudaIpcMemLazyEnablePeerAccess);
      error != cudaSuccess) {
    return CudaFailure(absl::StatusCode::kNotFound, "opening a handle of CUDA IPC", error);
  }
  return CudaTensorOver(memory, device, bytes, [](void* at) { return cudaIpcCloseMemHandle(at); });
}

}  // namespace reckon
