#include "common/model/transformer.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "common/model/kernels/interface.h"

namespace reckon {

at::Tensor RunLayers(const TransformerWeights& weights, at::Tensor x,
                     const at::Tensor& row_positions, AttentionSource& attention, Tap* tap) {
  const ModelConfig& c = weights.config();
  const Dtype dtype = weights.dtype();
  const Ops& ops = OpsOf(weights.backend());
  const at::Tensor rope = ops.RopeTable(row_positions.to(DeviceOf(weights.backend())),
                                        weights.rope(), c.rope.magnitude);
  int64_t index = weights.first_layer();
  for (const LayerWeights& layer : weights.layers()) {
    // Without gradients AddLinear adds to the stream in place, so the tap needs a copy.
    if (tap != nullptr && tap->layer == index) tap->residual = x.requires_grad() ? x : x.clone();
    at::Tensor normed = ops.RmsNorm(x, layer.input_norm, c.rms_norm_eps, dtype);
    at::Tensor qkv = ops.Linear(normed, layer.qkv);  // [rows, q + kv + kv]
    if (c.qk_norm) {
      qkv = ops.HeadNorm(qkv, layer.query_norm, layer.key_norm, c.num_heads, c.num_kv_heads,
                         c.head_dim, c.rms_norm_eps);
    }
    if (c.UsesRope(index)) {
      qkv = ops.Rope(qkv, rope, c.num_heads + c.num_kv_heads, c.head_dim);
    }
    at::Tensor mixed = attention.Attend(index++, qkv);
    x = ops.AddLinear(x, mixed, layer.output);
    normed = ops.RmsNorm(x, layer.post_norm, c.rms_norm_eps, dtype);
    x = ops.AddLinear(x, ops.SwiGlu(ops.Linear(normed, layer.gate_up)), layer.down);
  }
  return ops.RmsNorm(x, weights.final_norm(), c.rms_norm_eps, dtype);
}

Transformer::Transformer(const ModelConfig& config, Dtype dtype, Backend backend)
    : weights_(config, dtype, backend) {}

at::Tensor Transformer::Forward(const at::Tensor& tokens, const at::Tensor& positions,
                                AttentionSource& attention, Tap* tap) {
  at::Tensor x = OpsOf(backend()).Embed(tokens.to(DeviceOf(backend())), weights_.embedding());
  // Autograd must reach the adapters of the first layer, although the embedding below is frozen.
  if (weights_.adapted() && c10::GradMode::is_enabled()) x.set_requires_grad(true);
  return RunLayers(weights_, std::move(x), positions, attention, tap);
}

at::Tensor Transformer::Logits(const at::Tensor& hidden) {
  return OpsOf(backend()).HeadLogits(hidden, weights_.head());
}

at::Tensor Transformer::LogProb(const at::Tensor& hidden, const at::Tensor& targets,
                                double temperature) {
  return OpsOf(backend()).HeadLogProb(hidden, weights_.head(),
                                      targets.to(hidden.device(), at::kInt), temperature);
}

}  // namespace reckon
