#ifndef RECKON_LEARNER_UPDATE_ADAMW_H_
#define RECKON_LEARNER_UPDATE_ADAMW_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"
#include "proto/config.pb.h"

namespace reckon {

// The state of AdamW: two moments of every parameter's elements, one parameter after another.
struct AdamMoments {
  int64_t steps = 0;
  std::vector<float> first;   // m, mean of the gradients
  std::vector<float> second;  // v, mean of their squares
};

// AdamW (Loshchilov and Hutter 2019) over fp32 parameters. For every element, at step t:
//   g = gradient_scale * gradient
//   m = beta1 * m + (1 - beta1) * g           v = beta2 * v + (1 - beta2) * g^2
//   p = (1 - rate * weight_decay) * p
//         - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// With the CPU kernels, one fused pass over memory on the threads of common/base/thread_pool.h,
// whose bits do not depend on their number; with LibTorch, its fused operation on the parameters'
// device. Owned by PolicyUpdate. One thread.
class AdamW {
 public:
  // `parameters`: contiguous fp32, all on the device of `backend`. Changed in place by Step.
  AdamW(const TrainingSettings& training, Backend backend, std::vector<at::Tensor> parameters);

  // One step. gradient [elements] fp32 on the same device, in the order of the parameters; zeros
  // afterwards, which costs no pass of its own.
  void Step(const at::Tensor& gradient, double gradient_scale, double learning_rate);

  // In host memory; until the next Step.
  const AdamMoments& moments();
  // The same, and the next Step starts from what the caller leaves in it.
  AdamMoments& mutable_moments();
  // Until the next Step the moments are in host memory alone, with the same bits.
  void LeaveDevice();

 private:
  void AllocateOnDevice();
  void StepOnCpu(const at::Tensor& gradient, float gradient_scale, double learning_rate);
  void StepByTorch(const at::Tensor& gradient, double gradient_scale, double learning_rate);

  const TrainingSettings training_;
  const Backend backend_;
  std::vector<at::Tensor> parameters_;
  int64_t elements_ = 0;
  AdamMoments moments_;
  // LibTorch only: the moments on the device [elements]; undefined after LeaveDevice. Else they
  // stay there: the host has a copy only once a caller has asked for it.
  at::Tensor first_, second_;
  enum class Newest { kDevice, kBoth, kHost } newest_ = Newest::kDevice;
};

// Euclidean norm of a gradient of all parameters, fp32 and contiguous. On the CPU in double
// precision, with the same bits for any number of threads.
double GlobalNorm(const at::Tensor& gradient);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_ADAMW_H_
