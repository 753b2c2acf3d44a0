#include "learner/update/device_adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/norm.h>

#include <utility>

namespace reckon {
namespace {

at::Tensor HostView(std::vector<float>& values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kFloat);
}

}  // namespace

DeviceAdamW::DeviceAdamW(const TrainingSettings& training, std::vector<at::Tensor> parameters)
    : training_(training), parameters_(std::move(parameters)) {
  int64_t total = 0;
  for (const at::Tensor& parameter : parameters_) total += parameter.numel();
  moments_.first.resize(total);
  moments_.second.resize(total);
}

void DeviceAdamW::Upload() {
  const c10::Device device = parameters_[0].device();
  first_ = HostView(moments_.first).to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  second_ = HostView(moments_.second).to(device, at::kFloat, false, true);
  host_is_newest_ = false;
}

void DeviceAdamW::Apply(const at::Tensor& gradient, double gradient_scale, double learning_rate) {
  at::NoGradGuard no_grad;
  if (host_is_newest_) Upload();
  ++moments_.steps;
  const at::Tensor scaled = gradient.mul_(gradient_scale);
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
  const at::Tensor step =
      at::full({}, static_cast<double>(moments_.steps), gradient.options().dtype(at::kFloat));
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters_) {
    const int64_t n = parameter.numel();
    parameters.push_back(parameter.detach().view({n}));
    gradients.push_back(scaled.narrow(0, offset, n));
    first.push_back(first_.narrow(0, offset, n));
    second.push_back(second_.narrow(0, offset, n));
    steps.push_back(step);
    offset += n;
  }
  at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate, training_.beta1(), training_.beta2(), training_.weight_decay(),
                    training_.epsilon(), /*amsgrad=*/false, /*maximize=*/false);
}

AdamMoments& DeviceAdamW::moments() {
  if (!host_is_newest_) {
    HostView(moments_.first).copy_(first_);
    HostView(moments_.second).copy_(second_);
    host_is_newest_ = true;
  }
  return moments_;
}

double Norm(const at::Tensor& values) { return at::norm(values).item<double>(); }

}  // namespace reckon
