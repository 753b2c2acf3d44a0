#include "common/model/critic_layers.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "common/base/log.h"

namespace reckon {

CriticLayers::CriticLayers(const ModelConfig& config, int64_t layers, Dtype dtype, Backend backend,
                           const ModelMemory& memory)
    : weights_(config, dtype, backend, config.num_layers - layers, memory) {
  CHECK(layers > 0 && layers < config.num_layers) << layers;
}

absl::Status CriticLayers::Load(const WeightManifest& manifest, absl::Span<const char> bytes) {
  return weights_.Load(manifest, bytes, /*trainable=*/true);
}

at::Tensor CriticLayers::Forward(const at::Tensor& residual, const at::Tensor& positions,
                                 AttentionSource& attention) {
  at::Tensor x = residual;
  if (!c10::GradMode::is_enabled()) {
    x = residual.clone();  // RunLayers overwrites it
  } else if (!residual.requires_grad()) {
    // An operation records its backward only if its input requires a gradient.
    x = residual.detach().set_requires_grad(true);
  }
  return RunLayers(weights_, std::move(x), positions, attention);
}

}  // namespace reckon
