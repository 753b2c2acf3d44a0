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

#include "common/base/thread_pool.h"

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
void StepBlock(const Coefficients& c, int64_t n, float* __restrict p, float* __restrict g,
               float* __restrict m, float* __restrict v) {
  for (int64_t i = 0; i < n; ++i) {
    float gradient = g[i] * c.scale;
    g[i] = 0;
    m[i] = c.beta1 * m[i] + (1 - c.beta1) * gradient;
    v[i] = c.beta2 * v[i] + (1 - c.beta2) * gradient * gradient;
    float denominator = std::sqrt(v[i]) * c.inverse_correction2 + c.epsilon;
    p[i] = p[i] * c.decay - c.step_size * m[i] / denominator;
  }
}

at::Tensor HostView(std::vector<float>& values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kFloat);
}

}  // namespace

AdamW::AdamW(const TrainingSettings& training, Backend backend, std::vector<at::Tensor> parameters)
    : training_(training), backend_(backend), parameters_(std::move(parameters)) {
  for (const at::Tensor& parameter : parameters_) elements_ += parameter.numel();
  if (backend_ == Backend::kCpuKernels) {
    moments_.first.resize(elements_);
    moments_.second.resize(elements_);
  } else {
    AllocateOnDevice();
  }
}

void AdamW::AllocateOnDevice() {
  first_ = at::zeros({elements_}, at::TensorOptions(at::kFloat).device(DeviceOf(backend_)));
  second_ = at::zeros_like(first_);
}

void AdamW::Step(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  at::NoGradGuard no_grad;
  if (backend_ == Backend::kCpuKernels) {
    StepOnCpu(gradient, static_cast<float>(gradient_scale), learning_rate);
  } else {
    StepByTorch(gradient, gradient_scale, learning_rate);
  }
}

void AdamW::StepOnCpu(const at::Tensor& gradient, float gradient_scale, double learning_rate) {
  const double beta1 = training_.beta1(), beta2 = training_.beta2();
  const int64_t t = ++moments_.steps;
  Coefficients c;
  c.beta1 = static_cast<float>(beta1);
  c.beta2 = static_cast<float>(beta2);
  c.epsilon = static_cast<float>(training_.epsilon());
  c.decay = static_cast<float>(1 - learning_rate * training_.weight_decay());
  c.step_size = static_cast<float>(learning_rate / (1 - std::pow(beta1, t)));
  c.inverse_correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t)));
  c.scale = gradient_scale;
  int64_t offset = 0;
  for (at::Tensor& parameter : parameters_) {
    const int64_t n = parameter.numel();
    float* p = parameter.data_ptr<float>();
    float* g = gradient.mutable_data_ptr<float>() + offset;
    float* m = moments_.first.data() + offset;
    float* v = moments_.second.data() + offset;
    ParallelFor((n + kBlock - 1) / kBlock, [&](int64_t block) {
      const int64_t at = block * kBlock;
      StepBlock(c, std::min(kBlock, n - at), p + at, g + at, m + at, v + at);
    });
    offset += n;
  }
}

void AdamW::StepByTorch(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  if (newest_ == Newest::kHost) {
    if (!first_.defined()) AllocateOnDevice();
    first_.copy_(HostView(moments_.first));
    second_.copy_(HostView(moments_.second));
  }
  newest_ = Newest::kDevice;
  ++moments_.steps;
  // In place, because a scaled copy would be one more array as large as the model.
  if (gradient_scale != 1) gradient.mul_(gradient_scale);
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
  const at::Tensor step =
      at::full({}, static_cast<double>(moments_.steps), gradient.options().dtype(at::kFloat));
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters_) {
    const int64_t n = parameter.numel();
    parameters.push_back(parameter.detach().view({n}));
    gradients.push_back(gradient.narrow(0, offset, n));
    first.push_back(first_.narrow(0, offset, n));
    second.push_back(second_.narrow(0, offset, n));
    // LibTorch wants a counter for each parameter; all of them are the same one-element tensor,
    // which this call does not change.
    steps.push_back(step);
    offset += n;
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
    double sum = 0;
    for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i) {
      sum += static_cast<double>(values[i]) * values[i];
    }
    sums[block] = sum;
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

}  // namespace reckon
