#include "common/model/top_layers.h"

#include <c10/core/GradMode.h>

#include "common/base/log.h"
#include "common/model/decoder.h"

namespace reckon {

TopLayers::TopLayers(const ModelConfig& config, int64_t layers, Compute compute, Backend backend)
    : weights_(config, ElementOf(compute), backend, config.num_layers - layers) {
  CHECK(layers > 0 && layers < config.num_layers) << layers;
}

absl::Status TopLayers::Load(const WeightManifest& manifest, absl::Span<const char> bytes) {
  return weights_.Load(manifest, bytes, /*trainable=*/true);
}

at::Tensor TopLayers::Forward(const at::Tensor& residual, const at::Tensor& positions,
                              AttentionSource& attention) {
  at::Tensor x = residual;
  if (!c10::GradMode::is_enabled()) {
    x = residual.clone();  // added to in place
  } else if (!residual.requires_grad()) {
    // A layer's parameters get their gradients where that of its input is asked for.
    x = residual.detach().set_requires_grad(true);
  }
  return RunLayers(weights_, x, positions, attention);
}

}  // namespace reckon
