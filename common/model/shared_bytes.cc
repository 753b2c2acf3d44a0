#include "common/model/shared_bytes.h"

#include <ATen/ops/from_blob.h>

#include <memory>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/files/weight_bytes.h"
#ifdef RECKON_CUDA
#include "common/model/kernels/cuda/cuda_shared_bytes.h"
#endif

namespace reckon {

at::Tensor TensorOver(std::shared_ptr<WeightBytes> memory) {
  const absl::Span<const char> bytes = memory->bytes();
  return at::from_blob(
      const_cast<char*>(bytes.data()), {static_cast<int64_t>(bytes.size())},
      [memory = std::move(memory)](void*) {}, at::kByte);
}

absl::StatusOr<SharedBytes> MakeSharedBytes(Backend backend, int64_t bytes) {
#ifdef RECKON_CUDA
  if (backend == Backend::kTorchCuda) return MakeCudaSharedBytes(DeviceOf(backend), bytes);
#endif
  if (backend != Backend::kTorchCpu) {
    return absl::UnimplementedError("the kernels of the CPU read packed matrices");
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> memory,
                   WeightBytes::Shared(static_cast<uint64_t>(bytes)));
  if (memory->where().name().empty()) return absl::UnimplementedError("no memfd here");
  SharedBytes out;
  out.handle = memory->where().SerializeAsString();
  // It is filled again and again, which no lock of its own tells.
  memory->EndFill();
  out.bytes = TensorOver(std::move(memory));
  return out;
}

absl::StatusOr<at::Tensor> OpenSharedBytes(Backend backend, const std::string& handle,
                                           int64_t bytes) {
#ifdef RECKON_CUDA
  if (backend == Backend::kTorchCuda) return OpenCudaSharedBytes(DeviceOf(backend), handle, bytes);
#endif
  HostMemory where;
  if (backend != Backend::kTorchCpu || !where.ParseFromString(handle)) {
    return absl::NotFoundError("no memory of this backend");
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> memory,
                   WeightBytes::Map(where, static_cast<uint64_t>(bytes)));
  return TensorOver(std::move(memory));
}

}  // namespace reckon
