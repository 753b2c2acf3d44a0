#ifndef RECKON_COMMON_MODEL_TRANSFORMER_UNITS_H_
#define RECKON_COMMON_MODEL_TRANSFORMER_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "common/model/config.h"
#include "common/model/kernels/dtype.h"
#include "common/model/rank_group.h"
#include "common/model/replica_sums.h"
#include "common/model/sharded_units.h"
#include "proto/weights.pb.h"

namespace reckon {

// The units of a transformer, or of its top layers, by what they are: the embedding, a layer, the
// last norm, the head, in the order of ModelConfig::Tensors. Of tied weights the embedding's unit
// is the head's as well.
//
// What a pass does with a unit is a collective, and throws, as ShardedUnits says. Owned by
// TransformerWeights.
class TransformerUnits {
 public:
  // The index of a layer of the whole model, or one of these.
  enum Part { kEmbedding = -1, kFinalNorm = -2, kHead = -3 };

  // Of the layers from `first_layer` on; above 0 without the embedding and the head. The others are
  // those of ShardedUnits.
  TransformerUnits(const ModelConfig& config, int64_t first_layer, RankGroup* group,
                   ReplicaSums* replicas, Dtype compute, c10::Device device);

  // Keeps this rank's shards of the model's tensors, which are in `bytes` (manifest_tensors.h).
  void Load(const std::vector<TensorEntry>& tensors, absl::Span<const char> bytes, bool trainable);

  // One after another.
  ShardedUnits& all() { return units_; }
  const ShardedUnits& all() const { return units_; }

  NamedTensors Gather(int64_t part) { return units_.Gather(IndexOf(part)); }
  const std::vector<at::Tensor>& leaves(int64_t part) const { return units_.leaves(IndexOf(part)); }
  // The layer `index`, or, beyond the last one, the norm; below the first one, nothing.
  void PrefetchLayer(int64_t index);
  void BeginBackward(int64_t part);
  void EndBackward(int64_t part);

 private:
  size_t IndexOf(int64_t part) const;

  const ModelConfig& config_;
  const int64_t first_layer_;
  ShardedUnits units_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFORMER_UNITS_H_
