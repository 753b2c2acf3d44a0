#ifndef RECKON_LEARNER_UPDATE_ADAMW_H_
#define RECKON_LEARNER_UPDATE_ADAMW_H_

#include <cstdint>
#include <map>
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

  // The same in parts, for a caller who reads each parameter while the cache has its new values:
  //   Begin, then StepOf for any of the parameters, then End, which steps the others.
  // Of a tensor that is none of them, or was stepped since Begin, StepOf does nothing; so it does
  // with LibTorch, of which Begin is the whole step.
  void Begin(const at::Tensor& gradient, double gradient_scale, double learning_rate);
  void StepOf(const at::Tensor& parameter);
  void End();

  // In host memory; until the next Step.
  const AdamMoments& moments();
  // The same, and the next Step starts from what the caller leaves in it.
  AdamMoments& mutable_moments();
  // Until the next Step the moments are in host memory alone, with the same bits.
  void LeaveDevice();

 private:
  void AllocateOnDevice();
  struct Parameter {
    at::Tensor values;
    int64_t offset = 0;    // of its elements among all
    bool stepped = false;  // since Begin
  };
  // A step on the CPU that has begun.
  struct Begun {
    at::Tensor gradient;
    double gradient_scale = 1, learning_rate = 0;
  };
  void StepOnCpu(Parameter& parameter);
  void StepByTorch(const at::Tensor& gradient, double gradient_scale, double learning_rate);

  const TrainingSettings training_;
  const Backend backend_;
  std::vector<Parameter> parameters_;
  std::map<const void*, size_t> index_of_;  // by the address of the values
  int64_t elements_ = 0;
  Begun begun_;
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
