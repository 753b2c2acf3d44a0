#include "common/model/decoder.h"

#include <utility>

#include "common/model/ops/ops_table.h"

namespace reckon {

at::Tensor RunLayers(const DecoderWeights& weights, at::Tensor x, const at::Tensor& row_positions,
                     AttentionSource& attention, Tap* tap) {
  const ModelConfig& c = weights.config();
  const Element element = weights.element();
  const Ops& ops = OpsOf(weights.backend());
  const at::Tensor positions = row_positions.to(DeviceOf(weights.backend()));
  int64_t index = weights.first_layer();
  for (const DecoderLayer& layer : weights.layers()) {
    // Without gradients the stream is added to in place.
    if (tap != nullptr && tap->layer == index) tap->residual = x.requires_grad() ? x : x.clone();
    at::Tensor normed = ops.rms_norm(x, layer.input_norm, c.rms_norm_eps, element);
    at::Tensor qkv = ops.linear(normed, layer.qkv);  // [rows, q + kv + kv]
    if (c.qk_norm) {
      qkv = ops.head_norm(qkv, layer.query_norm, layer.key_norm, c.num_heads, c.num_kv_heads,
                          c.head_dim, c.rms_norm_eps);
    }
    qkv = ops.rope(qkv, positions, c.num_heads + c.num_kv_heads, c.head_dim, weights.rope());
    at::Tensor mixed = attention.Attend(index++, qkv);
    x = ops.add_linear(x, mixed, layer.output);
    normed = ops.rms_norm(x, layer.post_norm, c.rms_norm_eps, element);
    x = ops.add_linear(x, ops.swiglu(ops.linear(normed, layer.gate_up)), layer.down);
  }
  return ops.rms_norm(x, weights.final_norm(), c.rms_norm_eps, element);
}

}  // namespace reckon
