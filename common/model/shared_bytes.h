#ifndef RECKON_COMMON_MODEL_SHARED_BYTES_H_
#define RECKON_COMMON_MODEL_SHARED_BYTES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "common/model/backend.h"
#include "common/model/files/weight_bytes.h"

namespace reckon {

// Memory on the device of a backend that another process of this machine maps: it reads what the
// maker writes, without a copy. Two kinds:
//
//   kTorchCuda   an allocation of the GPU's memory and its handle of CUDA IPC
//                (kernels/cuda/cuda_shared_bytes.h)
//   kTorchCpu    a memfd and its place (files/weight_bytes.h)
//
// Nothing tells a reader when the maker writes; a turn on the device does (base/device_turn.h).
struct SharedBytes {
  at::Tensor bytes;    // [n] kByte; the memory lives as long as it and its views
  std::string handle;  // by which another process opens it while the maker lives
};

// The bytes of `memory`, which they keep.
at::Tensor TensorOver(std::shared_ptr<WeightBytes> memory);

// UNIMPLEMENTED: the backend reads other forms of weights, or the build is without CUDA.
absl::StatusOr<SharedBytes> MakeSharedBytes(Backend backend, int64_t bytes);
// To be read only. NOT_FOUND: its maker has ended, or is on another machine or device.
absl::StatusOr<at::Tensor> OpenSharedBytes(Backend backend, const std::string& handle,
                                           int64_t bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_SHARED_BYTES_H_
