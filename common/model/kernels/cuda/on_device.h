#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_ON_DEVICE_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_ON_DEVICE_H_

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cuda_runtime_api.h>

#include "ATen/core/Tensor.h"

namespace reckon {

// Makes a tensor's device the current one while a kernel is launched on that device's current
// stream. For the files that call the Launch functions of this folder with tensors.
class OnDeviceOf {
 public:
  explicit OnDeviceOf(const at::Tensor& tensor) : device_(tensor.device()), guard_(device_) {}

  // Null on the CPU, where tests run the kernels (tests/support/cuda_on_cpu).
  cudaStream_t stream() const {
    if (!device_.is_cuda()) return nullptr;
    const c10::impl::VirtualGuardImpl impl(device_.type());
    return static_cast<cudaStream_t>(impl.getStream(device_).native_handle());
  }
  // Throws if a launch has failed.
  static void Check(cudaError_t error) {
    TORCH_CHECK(error == cudaSuccess, "CUDA: ", cudaGetErrorString(error));
  }

 private:
  const c10::Device device_;
  const c10::DeviceGuard guard_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_ON_DEVICE_H_
