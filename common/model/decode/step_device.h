#ifndef RECKON_COMMON_MODEL_DECODE_STEP_DEVICE_H_
#define RECKON_COMMON_MODEL_DECODE_STEP_DEVICE_H_

#include <c10/core/Stream.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"

namespace reckon {

// Launches that are the same each time, and therefore need to be made but once: a CUDA graph.
class StepGraph {
 public:
  virtual ~StepGraph() = default;
  // What `body` launches must be the same in every call, with the same addresses.
  virtual void Run(absl::FunctionRef<void()> body) = 0;
};

// What decode steps need of a device beside kernels. A device does in order what it is given, while
// the host continues:
//
//   host     Run  Fetch(0)  Run  Fetch(1)  Await(0)  Run  Fetch(0) ...
//   device        step 1 -> place 0   step 2 -> place 1   step 3 -> place 0
//
// Two implementations: CudaStepDevice (kernels/cuda), a stream with events, and for tests without a
// GPU one that computes at once but delivers no sooner than it must
// (tests/support/cuda_on_cpu/cpu_step_device.h). Owned by what makes model runners; one thread.
class StepDevice {
 public:
  virtual ~StepDevice() = default;

  // The stream that all work on the tensors of the steps must be on.
  virtual c10::Stream stream() const = 0;
  virtual std::unique_ptr<StepGraph> NewGraph() = 0;
  // A copy of host memory `from` on the device. `from` may change as soon as this returns.
  virtual at::Tensor Send(const at::Tensor& from) = 0;
  // Memory of the host for Fetch.
  virtual at::Tensor NewHostTensor(at::IntArrayRef sizes, at::ScalarType type) = 0;
  // Copies `from` to `to`, which is complete after Await(place).
  virtual void Fetch(const at::Tensor& from, const at::Tensor& to, int64_t place) = 0;
  virtual void Await(int64_t place) = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODE_STEP_DEVICE_H_
