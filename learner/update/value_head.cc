#include "learner/update/value_head.h"

#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "common/base/rng.h"

namespace reckon {

ValueHead::ValueHead(int64_t hidden_size, uint64_t seed, Backend backend) : backend_(backend) {
  at::Tensor weight = at::zeros({2 * hidden_size, hidden_size}, at::kFloat);
  const CounterRng rng(StreamKey(seed, "value_head.0.weight"));
  const double scale = 1 / std::sqrt(static_cast<double>(hidden_size));
  auto* values = weight.data_ptr<float>();
  for (int64_t i = 0; i < weight.numel(); ++i) {
    // A function of the key and the element's index, so every rank draws the same head.
    values[i] = static_cast<float>((2 * rng.Uniform(static_cast<uint64_t>(i)) - 1) * scale);
  }
  parameters_ = {{"value_head.0.weight", weight},
                 {"value_head.0.bias", at::zeros({2 * hidden_size}, at::kFloat)},
                 {"value_head.2.weight", at::zeros({1, 2 * hidden_size}, at::kFloat)},
                 {"value_head.2.bias", at::zeros({1}, at::kFloat)}};
  // Drawn on the CPU and then moved, so that the numbers do not depend on the device.
  for (auto& [name, tensor] : parameters_) {
    tensor = tensor.to(DeviceOf(backend));
    tensor.set_requires_grad(true);
  }
  inner_.parts = {parameters_[0].second};
  inner_.bias_parts = {parameters_[1].second};
  value_.parts = {parameters_[2].second};
  value_.bias_parts = {parameters_[3].second};
  Repack();
}

void ValueHead::Repack() {
  for (LinearWeight* weight : {&inner_, &value_}) {
    OpsOf(backend_).Pack({weight->parts[0].detach()}, Dtype::kFp32, /*trainable=*/true, weight);
    weight->bias = weight->bias_parts[0].detach().clone();
  }
}

at::Tensor ValueHead::Forward(const at::Tensor& hidden) const {
  at::Tensor x = hidden.to(at::kFloat).contiguous();
  // An operation records its backward only if its input requires a gradient.
  if (c10::GradMode::is_enabled() && !x.requires_grad()) x = x.detach().set_requires_grad(true);
  const Ops& ops = OpsOf(backend_);
  return ops.Linear(at::relu(ops.Linear(x, inner_)), value_).squeeze(1);
}

}  // namespace reckon
