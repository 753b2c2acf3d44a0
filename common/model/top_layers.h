#ifndef RECKON_COMMON_MODEL_TOP_LAYERS_H_
#define RECKON_COMMON_MODEL_TOP_LAYERS_H_

#include <cstdint>

#include "common/model/decoder_weights.h"
#include "common/model/transformer.h"

namespace reckon {

// The last layers and the final norm of a decoder with weights of their own: what a critic computes
// from a policy's residual stream. Trainable. Threads as in Transformer.
class TopLayers {
 public:
  // 0 < layers < config.num_layers.
  TopLayers(const ModelConfig& config, int64_t layers, Compute compute, Backend backend);

  // Takes these layers of a whole model's weights. Errors as of Transformer::Load.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes);
  // fp32 leaves, by their names in the whole model.
  NamedTensors Parameters() const { return weights_.Parameters(); }
  // Call after parameters changed.
  void Repack() { weights_.Pack(); }

  const ModelConfig& config() const { return weights_.config(); }
  Backend backend() const { return weights_.backend(); }
  // The policy's layer in front of which these branch off.
  int64_t first_layer() const { return weights_.first_layer(); }
  // residual [rows, hidden] fp32, positions [rows] int32 -> [rows, hidden], differentiable.
  at::Tensor Forward(const at::Tensor& residual, const at::Tensor& positions,
                     AttentionSource& attention);

 private:
  DecoderWeights weights_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TOP_LAYERS_H_
