#include "common/model/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>
#ifdef RECKON_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace reckon {

void ReturnFreedMemory(Backend backend) {
  if (backend == Backend::kTorchCuda) {
    at::getDeviceAllocator(DeviceOf(backend).type())->emptyCache();
    return;
  }
#ifdef __GLIBC__
  ::malloc_trim(0);  // KeepFreedMemory forbids it otherwise
#endif
}

at::Tensor SendToDevice(const at::Tensor& from, c10::Device device) {
  if (!device.is_cuda()) return from;
  // A copy from memory that is not pinned waits. LibTorch keeps the pinned copy until it is read.
  return from.pin_memory().to(device, from.scalar_type(), /*non_blocking=*/true, /*copy=*/true);
}

void FinishWork(Backend backend) {
#ifdef RECKON_CUDA
  if (backend == Backend::kTorchCuda) c10::cuda::device_synchronize();
#endif
}

int64_t FreeDeviceBytes(Backend backend) {
  const c10::Device device = DeviceOf(backend);
  return static_cast<int64_t>(
      at::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first);
}

}  // namespace reckon
