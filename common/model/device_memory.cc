#include "common/model/device_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>
#ifdef RECKON_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

#include "common/base/memory.h"

namespace reckon {
namespace {

// LibTorch's own can ask for huge pages too, but asks the allocator for an alignment
// (AllocateLines).
class HostAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const memory = bytes == 0 ? nullptr : AllocateLines(static_cast<int64_t>(bytes));
    return {memory, memory, &FreeLines, c10::DeviceType::CPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &FreeLines; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void PrepareHostMemory() {
  KeepFreedMemory();
  static HostAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

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
