#include "learner/update/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/memory.h"
#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {
namespace {

constexpr int64_t kBlock = 1 << 16;  // elements of one thread's share

// The header's formula with what is the same for every element taken out of the loop:
//   p = decay * p - step_size * m / (sqrt(v) * inverse_correction2 + epsilon)
//   decay = 1 - rate * weight_decay,  step_size = rate / (1 - beta1^t),
//   inverse_correction2 = 1 / sqrt(1 - beta2^t)
struct Coefficients {
  float beta1, beta2, epsilon, decay, step_size, inverse_correction2, scale;
};

// `__restrict` lets the compiler vectorize: the four arrays never overlap. Each element is computed
// from its own numbers alone, so blocks may run in any order on any thread. The gradient is zeroed
// while it is in the cache.
RECKON_CLONES void StepBlock(const Coefficients& c, int64_t n, float* __restrict p,
                             float* __restrict g, float* __restrict m, float* __restrict v) {
  for (int64_t i = 0; i < n; ++i) {
    float gradient = g[i] * c.scale;
    g[i] = 0;
    m[i] = c.beta1 * m[i] + (1 - c.beta1) * gradient;
    v[i] = c.beta2 * v[i] + (1 - c.beta2) * gradient * gradient;
    float denominator = std::sqrt(v[i]) * c.inverse_correction2 + c.epsilon;
    p[i] = p[i] * c.decay - c.step_size * m[i] / denominator;
  }
}

// In lanes that do not depend on one another, so that the compiler uses whole registers; in one
// order, whatever their width.
RECKON_CLONES double SumOfSquares(const float* x, int64_t n) {
  constexpr int64_t kLanes = 16;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += double{x[i + j]} * x[i + j];
  }
  for (; i < n; ++i) lanes[i % kLanes] += double{x[i]} * x[i];
  return std::accumulate(lanes, lanes + kLanes, 0.0);
}

at::Tensor HostView(std::vector<float>& values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kFloat);
}

}  // namespace

AdamW::AdamW(const TrainingSettings& training, Backend backend, std::vector<at::Tensor> parameters)
    : training_(training), backend_(backend) {
  for (at::Tensor& parameter : parameters) {
    index_of_[parameter.const_data_ptr()] = parameters_.size();
    const int64_t count = parameter.numel();
    parameters_.push_back({std::move(parameter), elements_});
    elements_ += count;
  }
  if (backend_ == Backend::kCpuKernels) {
    for (std::vector<float>* moments : {&moments_.first, &moments_.second}) {
      moments->reserve(elements_);
      UseHugePages(moments->data(), elements_ * static_cast<int64_t>(sizeof(float)));
      moments->resize(elements_);
    }
  } else {
    AllocateOnDevice();
  }
}

void AdamW::AllocateOnDevice() {
  first_ = at::zeros({elements_}, at::TensorOptions(at::kFloat).device(DeviceOf(backend_)));
  second_ = at::zeros_like(first_);
}

void AdamW::Step(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  Begin(gradient, gradient_scale, learning_rate);
  End();
}

void AdamW::Begin(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  ++moments_.steps;
  if (backend_ != Backend::kCpuKernels) {
    at::NoGradGuard no_grad;
    return StepByTorch(gradient, gradient_scale, learning_rate);
  }
  begun_ = {gradient, gradient_scale, learning_rate};
  for (Parameter& parameter : parameters_) parameter.stepped = false;
}

void AdamW::StepOf(const at::Tensor& parameter) {
  const auto found = index_of_.find(parameter.const_data_ptr());
  if (begun_.gradient.defined() && found != index_of_.end()) StepOnCpu(parameters_[found->second]);
}

void AdamW::End() {
  if (!begun_.gradient.defined()) return;
  for (Parameter& parameter : parameters_) StepOnCpu(parameter);
  begun_ = {};
}

void AdamW::StepOnCpu(Parameter& parameter) {
  if (std::exchange(parameter.stepped, true)) return;
  const double beta1 = training_.beta1(), beta2 = training_.beta2();
  const auto t = static_cast<double>(moments_.steps);
  Coefficients c;
  c.beta1 = static_cast<float>(beta1);
  c.beta2 = static_cast<float>(beta2);
  c.epsilon = static_cast<float>(training_.epsilon());
  c.decay = static_cast<float>(1 - begun_.learning_rate * training_.weight_decay());
  c.step_size = static_cast<float>(begun_.learning_rate / (1 - std::pow(beta1, t)));
  c.inverse_correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t)));
  c.scale = static_cast<float>(begun_.gradient_scale);
  const int64_t n = parameter.values.numel();
  float* p = parameter.values.mutable_data_ptr<float>();
  float* g = begun_.gradient.mutable_data_ptr<float>() + parameter.offset;
  float* m = moments_.first.data() + parameter.offset;
  float* v = moments_.second.data() + parameter.offset;
  ParallelFor((n + kBlock - 1) / kBlock, [&](int64_t block) {
    const int64_t at = block * kBlock;
    StepBlock(c, std::min(kBlock, n - at), p + at, g + at, m + at, v + at);
  });
}

void AdamW::StepByTorch(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  if (newest_ == Newest::kHost) {
    if (!first_.defined()) AllocateOnDevice();
    first_.copy_(HostView(moments_.first));
    second_.copy_(HostView(moments_.second));
  }
  newest_ = Newest::kDevice;
  // In place, because a scaled copy would be one more array as large as the model.
  if (gradient_scale != 1) gradient.mul_(gradient_scale);
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
  const at::Tensor step =
      at::full({}, static_cast<double>(moments_.steps), gradient.options().dtype(at::kFloat));
  for (const Parameter& parameter : parameters_) {
    const int64_t n = parameter.values.numel();
    parameters.push_back(parameter.values.detach().view({n}));
    gradients.push_back(gradient.narrow(0, parameter.offset, n));
    first.push_back(first_.narrow(0, parameter.offset, n));
    second.push_back(second_.narrow(0, parameter.offset, n));
    // LibTorch wants a counter for each parameter; all of them are the same one-element tensor,
    // which this call does not change.
    steps.push_back(step);
  }
  at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate, training_.beta1(), training_.beta2(), training_.weight_decay(),
                    training_.epsilon(), /*amsgrad=*/false, /*maximize=*/false);
  gradient.zero_();
}

const AdamMoments& AdamW::moments() {
  if (backend_ != Backend::kCpuKernels && newest_ == Newest::kDevice) {
    moments_.first.resize(elements_);
    moments_.second.resize(elements_);
    HostView(moments_.first).copy_(first_);
    HostView(moments_.second).copy_(second_);
    newest_ = Newest::kBoth;
  }
  return moments_;
}

AdamMoments& AdamW::mutable_moments() {
  moments();
  newest_ = Newest::kHost;
  return moments_;
}

void AdamW::LeaveDevice() {
  if (backend_ == Backend::kCpuKernels) return;
  mutable_moments();
  first_ = second_ = at::Tensor();
}

double GlobalNorm(const at::Tensor& gradient) {
  if (!gradient.is_cpu()) return at::norm(gradient).item<double>();
  const float* values = gradient.const_data_ptr<float>();
  const int64_t n = gradient.numel(), blocks = (n + kBlock - 1) / kBlock;
  // One sum a block and then the blocks in order: the result does not depend on which thread
  // computed which block. fp32 would lose the small gradients of a model with billions of elements
  // in the large sum.
  std::vector<double> sums(blocks, 0);
  ParallelFor(blocks, [&](int64_t block) {
    const int64_t at = block * kBlock;
    sums[block] = SumOfSquares(values + at, std::min(kBlock, n - at));
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

}  // namespace reckon
