#include "learner/update/value_head.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "common/base/rng.h"

namespace reckon {

ValueHead::ValueHead(int64_t hidden_size, uint64_t seed, c10::Device device) {
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
    tensor = tensor.to(device);
    tensor.set_requires_grad(true);
  }
}

at::Tensor ValueHead::Forward(const at::Tensor& hidden) const {
  const at::Tensor inner =
      at::relu(at::linear(hidden.to(at::kFloat), parameters_[0].second, parameters_[1].second));
  return at::linear(inner, parameters_[2].second, parameters_[3].second).squeeze(1);
}

}  // namespace reckon
