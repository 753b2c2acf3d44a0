#ifndef RECKON_COMMON_MODEL_TRANSFORMER_H_
#define RECKON_COMMON_MODEL_TRANSFORMER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/backend.h"
#include "common/model/decoder_weights.h"
#include "common/weights/model_config.h"
#include "proto/weights.pb.h"

namespace reckon {

enum class Compute { kBf16, kFp32 };
inline Element ElementOf(Compute compute) {
  return compute == Compute::kBf16 ? Element::kBf16 : Element::kFp32;
}

// The residual stream [rows, hidden] fp32 in front of a layer, as a forward pass leaves it: where a
// critic with layers of its own begins.
struct Tap {
  int64_t layer = 0;
  at::Tensor residual;
};

// Where the keys and values of earlier positions come from: the one thing in which rollouts and
// training differ. Called once per layer and forward pass.
class AttentionSource {
 public:
  virtual ~AttentionSource() = default;
  // qkv [rows, (heads + 2 * kv_heads) * head_dim], contiguous: queries, keys and values, after
  // RoPE, compute dtype. Returns [rows, heads * head_dim]. Causal within each row's sequence.
  virtual at::Tensor Attend(int64_t layer, const at::Tensor& qkv) = 0;
};

// The Llama-family decoder, composed once from the operations of ops/, for actor and learner. With
// the own kernels a row's result depends on its own sequence only, never on the other rows.
//
// Weights live in one flat buffer of tensors in WeightManifest order (fp32 master in the learner,
// the published dtype in the actor) plus copies packed for the matrix kernels. Load and Repack must
// not run at the same time as Forward; otherwise Forward may be called from one thread at a time
// (it uses the thread pool of ops/). With grad mode on and parameters requiring grad, every result
// is differentiable.
class Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<Transformer>> Create(const ModelConfig& config,
                                                             Compute compute,
                                                             Backend backend = Backend::kOwn);
  virtual ~Transformer() = default;

  // Names, dtypes and shapes that the family's checkpoint has, in canonical order.
  virtual std::vector<TensorEntry> ExpectedTensors() const = 0;

  // Takes weights (BF16 or F32) from a flat buffer. INVALID_ARGUMENT names a missing, unexpected or
  // misshaped tensor. With `trainable`, parameters are kept in fp32 and require grad.
  virtual absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                            bool trainable) = 0;
  // Call after Load with `trainable`: freezes the weights, in the compute type, and trains adapters
  // of that rank on all linear layers but the head in their place. Adapters that are there become
  // part of the weights first. What A starts with is a function of the seed and the layer's name.
  virtual void AddAdapters(int64_t rank, double alpha, uint64_t seed) = 0;
  // Off: computes with the frozen weights alone, as a reference policy does. No-op without
  // adapters.
  virtual void SwitchAdapters(bool on) = 0;
  virtual bool adapted() const = 0;
  // What is trained, by Hugging Face (PEFT) name, in canonical order; fp32. Empty unless trainable.
  virtual NamedTensors Parameters() = 0;
  // The tensors of the checkpoint in canonical order, adapters merged; fp32. Empty unless
  // trainable.
  virtual NamedTensors MergedWeights() = 0;
  // Call after parameters changed: refreshes the packed copies.
  virtual void Repack() = 0;

  // tokens [rows] int32, positions [rows] int32, on any device -> final-norm hidden states [rows,
  // hidden]. `tap`: also fills in the residual stream in front of its layer.
  virtual at::Tensor Forward(const at::Tensor& tokens, const at::Tensor& positions,
                             AttentionSource& attention, Tap* tap = nullptr) = 0;
  // hidden [rows, hidden] -> logits [rows, vocab] fp32. For evaluation and tests; not
  // differentiable.
  virtual at::Tensor Logits(const at::Tensor& hidden) = 0;
  // Log-probability of targets [rows] under softmax(logits / temperature) -> [rows] fp32;
  // differentiable. Never stores [rows, vocab] beyond a bounded chunk of rows. Temperature 0 means
  // untempered. Bit-identical to what the sampler reports for the same hidden state.
  virtual at::Tensor LogProb(const at::Tensor& hidden, const at::Tensor& targets,
                             double temperature) = 0;

  virtual const ModelConfig& config() const = 0;
  virtual Compute compute() const = 0;
  virtual Backend backend() const = 0;
};

// Attention within packed sequences, for training and for scoring: rows of sequence s are
// starts[s] .. starts[s+1]-1, in position order. starts has one entry more than sequences.
std::unique_ptr<AttentionSource> PackedAttention(const ModelConfig& config,
                                                 std::vector<int64_t> starts,
                                                 Backend backend = Backend::kOwn);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFORMER_H_
