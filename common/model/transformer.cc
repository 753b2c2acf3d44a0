#include "common/model/transformer.h"

#include <c10/core/GradMode.h>

#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/interface.h"

namespace reckon {

namespace {

at::Tensor RunLayer(const TransformerWeights& weights, int64_t index, const LayerWeights& layer,
                    at::Tensor x, const at::Tensor& rope, AttentionSource& attention) {
  const ModelConfig& c = weights.config();
  const Dtype dtype = weights.dtype();
  const Ops& ops = OpsOf(weights.backend());
  at::Tensor normed = ops.RmsNorm(x, layer.input_norm, c.rms_norm_eps, dtype);
  at::Tensor qkv = ops.Linear(normed, layer.qkv);  // [rows, q + kv + kv]
  if (c.qk_norm) {
    qkv = ops.HeadNorm(qkv, layer.query_norm, layer.key_norm, c.num_heads, c.num_kv_heads,
                       c.head_dim, c.rms_norm_eps);
  }
  if (c.UsesRope(index)) {
    qkv = ops.Rope(qkv, rope, c.num_heads + c.num_kv_heads, c.head_dim);
  }
  at::Tensor mixed = attention.Attend(index, qkv);
  x = ops.AddLinear(x, mixed, layer.output);
  normed = ops.RmsNorm(x, layer.post_norm, c.rms_norm_eps, dtype);
  return ops.AddLinear(x, ops.SwiGlu(ops.Linear(normed, layer.gate_up)), layer.down);
}

// The same as one operation, which keeps x alone: its backward computes the layer again, and then
// the gradients of that.
at::Tensor RecomputedLayer(const TransformerWeights& weights, int64_t index, const at::Tensor& x,
                           const at::Tensor& rope, AttentionSource& attention) {
  GradientRecorder recorder({x});
  const at::Tensor out =
      RunLayer(weights, index, weights.Layer(index, index + 1), x.clone(), rope, attention);
  return recorder.Record(out,
                         [&weights, index, x, rope, attention = attention.shared_from_this()](
                             const at::Tensor& dy) -> Tensors {
                           c10::AutoGradMode with_gradients(true);
                           const LayerWeights layer = weights.LayerForBackward(index);
                           weights.BeginBackward(index);
                           const at::Tensor in = x.detach().set_requires_grad(true);
                           RunLayer(weights, index, layer, in, rope, *attention).backward(dy);
                           weights.EndBackward(index);
                           return {in.grad()};
                         });
}

// The same for weights that ranks divide, as one operation whose graph keeps what the layer
// computed and none of its matrices: its backward gathers them again.
at::Tensor GatheredLayer(const TransformerWeights& weights, int64_t index, const at::Tensor& x,
                         const at::Tensor& rope, AttentionSource& attention) {
  GradientRecorder recorder({x});
  LayerWeights layer = weights.Layer(index, index + 1);
  const auto again = std::make_shared<LayerWeights>();
  for (LinearWeight LayerWeights::* linear :
       {&LayerWeights::qkv, &LayerWeights::output, &LayerWeights::gate_up, &LayerWeights::down}) {
    (layer.*linear).in_backward = {again, &((*again).*linear)};
  }
  c10::AutoGradMode with_gradients(true);
  const at::Tensor in = x.detach().set_requires_grad(true);
  const at::Tensor out = RunLayer(weights, index, layer, in, rope, attention);
  return recorder.Record(out.detach(),
                         [&weights, index, again, in, out](const at::Tensor& dy) -> Tensors {
                           *again = weights.LayerForBackward(index);
                           weights.BeginBackward(index);
                           out.backward(dy);
                           weights.EndBackward(index);
                           *again = {};
                           return {in.grad()};
                         });
}

// body(x), whose backward is one between BeginBackward and EndBackward of the part of the weights
// that it computes with. Until then the graph keeps that part, where an operation needs it again.
at::Tensor WithPart(const TransformerWeights& weights, int64_t part, const at::Tensor& x,
                    absl::FunctionRef<at::Tensor(const at::Tensor& x)> body) {
  if (!weights.sharded() || !NeedsGradient(x)) return body(x);
  GradientRecorder recorder({x});
  c10::AutoGradMode with_gradients(true);
  const at::Tensor in = x.detach().set_requires_grad(true);
  const at::Tensor out = body(in);
  return recorder.Record(out.detach(), [&weights, part, in, out](const at::Tensor& dy) -> Tensors {
    weights.BeginBackward(part);
    out.backward(dy);
    weights.EndBackward(part);
    return {in.grad()};
  });
}

}  // namespace

at::Tensor RunLayers(const TransformerWeights& weights, at::Tensor x,
                     const at::Tensor& row_positions, AttentionSource& attention, Tap* tap) {
  const ModelConfig& c = weights.config();
  const Ops& ops = OpsOf(weights.backend());
  const at::Tensor rope = ops.RopeTable(row_positions.to(DeviceOf(weights.backend())),
                                        weights.rope(), c.rope.magnitude);
  for (int64_t index = weights.first_layer(); index < c.num_layers; ++index) {
    // Without gradients AddLinear adds to the stream in place, so the tap needs a copy.
    if (tap != nullptr && tap->layer == index) tap->residual = x.requires_grad() ? x : x.clone();
    if (NeedsGradient(x) && weights.recomputes()) {
      x = RecomputedLayer(weights, index, x, rope, attention);
    } else if (NeedsGradient(x) && weights.sharded()) {
      x = GatheredLayer(weights, index, x, rope, attention);
    } else {
      x = RunLayer(weights, index, weights.Layer(index, index + 1), std::move(x), rope, attention);
    }
  }
  return WithPart(weights, TransformerUnits::kFinalNorm, x, [&](const at::Tensor& in) {
    return ops.RmsNorm(in, weights.FinalNorm(), c.rms_norm_eps, weights.dtype());
  });
}

Transformer::Transformer(const ModelConfig& config, Dtype dtype, Backend backend,
                         const ModelMemory& memory)
    : weights_(config, dtype, backend, /*first_layer=*/0, memory) {}

at::Tensor Transformer::Forward(const at::Tensor& tokens, const at::Tensor& positions,
                                AttentionSource& attention, Tap* tap) {
  at::Tensor x;
  {
    const TableWeight table = weights_.Embedding();  // of shards, dropped before the first layer
    x = WithPart(weights_, TransformerUnits::kEmbedding, table.leaf, [&](const at::Tensor&) {
      return OpsOf(backend()).Embed(tokens.to(DeviceOf(backend())), table);
    });
  }
  // Autograd must reach the adapters of the first layer, although the embedding below is frozen.
  if (weights_.adapted() && c10::GradMode::is_enabled()) x.set_requires_grad(true);
  return RunLayers(weights_, std::move(x), positions, attention, tap);
}

at::Tensor Transformer::Logits(const at::Tensor& hidden) {
  return OpsOf(backend()).HeadLogits(hidden, weights_.Head());
}

at::Tensor Transformer::LogProb(const at::Tensor& hidden, const at::Tensor& targets,
                                double temperature) {
  return WithPart(weights_, TransformerUnits::kHead, hidden, [&](const at::Tensor& in) {
    return OpsOf(backend()).HeadLogProb(in, weights_.Head(), targets.to(hidden.device(), at::kInt),
                                        temperature);
  });
}

}  // namespace reckon
