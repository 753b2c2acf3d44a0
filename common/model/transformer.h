#ifndef RECKON_COMMON_MODEL_TRANSFORMER_H_
#define RECKON_COMMON_MODEL_TRANSFORMER_H_

#include <cstdint>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model/attention.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/weights.h"
#include "proto/weights.pb.h"

namespace reckon {

// Asks a forward pass for a copy of the residual stream [rows, hidden] fp32 as it enters `layer`:
// where a critic with layers of its own branches off (critic_layers.h).
struct Tap {
  int64_t layer = 0;
  at::Tensor residual;
};

// A decoder-only transformer of the Llama family (config.h lists the families), for the actor's
// inference and the learner's training. A row is one token of one sequence; a forward pass computes
// any number of rows of any number of sequences:
//
//   tokens [rows] int32
//     | embedding
//   x [rows, hidden] fp32, the residual stream            for each layer:
//     +--> RmsNorm -> Linear qkv     [rows, (heads + 2 * kv_heads) * head_dim]
//     |      -> HeadNorm (Qwen3) -> Rope -> Attend        [rows, heads * head_dim]
//     +<-- AddLinear output
//     +--> RmsNorm -> Linear gate_up [rows, 2 * intermediate] -> SwiGlu [rows, intermediate]
//     +<-- AddLinear down
//     | RmsNorm
//   hidden [rows, hidden] of the model's Dtype
//     | head [hidden, tokens], without the vocabulary's unused rows
//   Logits [rows, tokens] fp32, or LogProb [rows] fp32
//
// With the CPU kernels the result of a row depends on its own sequence only: it has the same bits
// whatever other rows share the pass, and the same in actor and learner. With grad mode on and
// trainable weights, every result but Logits is differentiable.
//
// Owned by a model runner (actor) or by the learner, and used by one thread at a time; an operation
// divides its rows over the threads of common/base/thread_pool.h. Anything that runs out of memory
// throws; callers are inside CatchTorchErrors (torch_status.h).
class Transformer {
 public:
  // Without weights: Load comes first.
  Transformer(const ModelConfig& config, Dtype dtype, Backend backend = Backend::kCpuKernels,
              const ModelMemory& memory = {});
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  // These are TransformerWeights' (weights.h).
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes, bool trainable) {
    return weights_.Load(manifest, bytes, trainable);
  }
  absl::Status LoadUnderAdapters(const WeightManifest& manifest, absl::Span<const char> bytes,
                                 int64_t rank, double alpha, uint64_t seed) {
    return weights_.LoadUnderAdapters(manifest, bytes, rank, alpha, seed);
  }
  void AddAdapters(int64_t rank, double alpha, uint64_t seed) {
    weights_.AddAdapters(rank, alpha, seed);
  }
  absl::Status LoadAdapters(const Transformer& base, const WeightManifest& manifest,
                            absl::Span<const char> bytes) {
    return weights_.LoadAdapters(base.weights_, manifest, bytes);
  }
  void SwitchAdapters(bool on) { weights_.SwitchAdapters(on); }
  bool adapted() const { return weights_.adapted(); }
  NamedTensors Parameters() const { return weights_.Parameters(); }
  NamedTensors ScaledAdapters() const { return weights_.ScaledAdapters(); }
  TrainedTensors Trained() const { return weights_.Trained(); }
  NamedTensors MergedWeights(bool on_host = false) const { return weights_.Merged(on_host); }
  void DropPending() { weights_.DropPending(); }
  bool sharded() const { return weights_.memory().shard_group != nullptr; }
  const ModelMemory& memory() const { return weights_.memory(); }
  void Repack(PackedForm::Change change = PackedForm::Unchanged) { weights_.Pack(change); }
  void PackInto(TransformerWeights::PackedMemoryMaker make) { weights_.PackInto(std::move(make)); }
  int64_t packed_size() const { return weights_.packed_size(); }
  absl::Status Adopt(const at::Tensor& packed) { return weights_.Adopt(packed); }

  // tokens [rows] int32, positions [rows] int32, on any device. Returns hidden [rows, hidden],
  // after the final norm. A non-null `tap` also receives the residual stream.
  at::Tensor Forward(const at::Tensor& tokens, const at::Tensor& positions,
                     AttentionSource& attention, Tap* tap = nullptr);
  // hidden [rows, hidden] -> logits [rows, tokens] fp32, of gaps -inf. Not differentiable.
  at::Tensor Logits(const at::Tensor& hidden);
  // hidden [rows, hidden], targets [rows], which HasToken knows -> [rows] fp32, the log-probability
  // of each target under softmax(logits * InverseTemperature(temperature)) (sampling.h).
  // Differentiable. Has the bits that Sample reports for the same hidden state. Holds the logits of
  // a bounded number of rows at once.
  at::Tensor LogProb(const at::Tensor& hidden, const at::Tensor& targets, double temperature);

  const TransformerWeights& weights() const { return weights_; }
  const ModelConfig& config() const { return weights_.config(); }
  Dtype compute() const { return weights_.dtype(); }
  Backend backend() const { return weights_.backend(); }

 private:
  TransformerWeights weights_;
};

// The layers of `weights` and the final norm: x [rows, hidden] fp32, the residual stream that
// enters the first of them -> [rows, hidden]. Without gradients, overwrites x. A model that
// recomputes shares `attention` with the graph.
at::Tensor RunLayers(const TransformerWeights& weights, at::Tensor x, const at::Tensor& positions,
                     AttentionSource& attention, Tap* tap = nullptr);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFORMER_H_
