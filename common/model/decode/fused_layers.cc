#include "common/model/decode/fused_layers.h"

#include "common/model/kernels/cuda/layer_ops.h"
#include "common/model/kernels/cuda/paged_attention.h"
#include "common/model/kernels/torch/torch_ops.h"

namespace reckon {

bool HasFusedLayers(const ModelConfig& config) { return AttendsHeadsOf(config.head_dim); }

at::Tensor RunFusedLayers(const Transformer& model, const KvPages& cache, at::Tensor x,
                          const at::Tensor& table, const DeviceRows& rows, AttendQueries attend) {
  const TransformerWeights& weights = model.weights();
  const ModelConfig& c = model.config();
  const Dtype dtype = model.compute();
  at::Tensor bias;  // of the product that was added to x last
  for (int64_t index = 0; index < c.num_layers; ++index) {
    const LayerWeights& layer = weights.Layer(index, index + 1);
    const KvPages::Layer kv = cache.OfLayer(index);
    at::Tensor normed = FusedAddRmsNorm(x, bias, layer.input_norm.values, c.rms_norm_eps, dtype);
    const at::Tensor queries =
        FusedRopeToCache(ProductOf(normed, layer.qkv), layer.qkv.bias, layer.query_norm.values,
                         layer.key_norm.values, c.rms_norm_eps,
                         c.UsesRope(index) ? table : at::Tensor(), rows, kv.keys, kv.values);
    AddProductOf(attend(queries, kv).flatten(1), layer.output, x);
    normed = FusedAddRmsNorm(x, layer.output.bias, layer.post_norm.values, c.rms_norm_eps, dtype);
    const at::Tensor gated =
        IsPlain(layer.gate_up)
            ? FusedSwiGlu(RoundedProductOf(normed, layer.gate_up))
            : FusedSiluProduct(ProductOf(normed, layer.gate_up), layer.gate_up.bias, dtype);
    AddProductOf(gated, layer.down, x);
    bias = layer.down.bias;
  }
  return FusedAddRmsNorm(x, bias, weights.FinalNorm().values, c.rms_norm_eps, dtype);
}

}  // namespace reckon
