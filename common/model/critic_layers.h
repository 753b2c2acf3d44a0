#ifndef RECKON_COMMON_MODEL_CRITIC_LAYERS_H_
#define RECKON_COMMON_MODEL_CRITIC_LAYERS_H_

#include <cstdint>

#include "common/model/transformer.h"
#include "common/model/weights.h"

namespace reckon {

// A critic's own copy of the top layers of a policy (trlX: num_value_layers_unfrozen), trainable:
//
//   policy:  embedding -> layer 0 .. first_layer-1 -+-> layer first_layer .. -> norm -> hidden
//                                                   | Tap
//   critic:                                         +-> own first_layer .. -> own norm -> hidden
//
// Owned by learner/update/critic. Threads and errors as in Transformer.
class CriticLayers {
 public:
  // 0 < layers < config.num_layers.
  CriticLayers(const ModelConfig& config, int64_t layers, Dtype dtype, Backend backend,
               const ModelMemory& memory = {});

  // Takes the weights of these layers from those of a whole model. Errors as
  // TransformerWeights::Load.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes);
  // fp32 leaves, named as in the whole model.
  NamedTensors Parameters() const { return weights_.Parameters(); }
  TrainedTensors Trained() const { return weights_.Trained(); }
  // Must follow every change of the parameters.
  void Repack() { weights_.Pack(); }

  // residual [rows, hidden] fp32 from a Tap at first_layer(), positions [rows] int32 ->
  // [rows, hidden], differentiable.
  at::Tensor Forward(const at::Tensor& residual, const at::Tensor& positions,
                     AttentionSource& attention);

  const ModelConfig& config() const { return weights_.config(); }
  Backend backend() const { return weights_.backend(); }
  int64_t first_layer() const { return weights_.first_layer(); }

 private:
  TransformerWeights weights_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_CRITIC_LAYERS_H_
