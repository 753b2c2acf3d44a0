#ifndef RECKON_COMMON_MODEL_WEIGHT_SOURCES_H_
#define RECKON_COMMON_MODEL_WEIGHT_SOURCES_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/adapters.h"
#include "common/model/config.h"
#include "common/model/kernels/interface.h"
#include "common/model/sharded_units.h"

namespace reckon {

struct LayerWeights {
  TableWeight input_norm, post_norm, query_norm, key_norm;
  LinearWeight qkv, output, gate_up, down;
};

// A weight of kernels/ and the tensors that it is packed from, e.g. qkv of q, k and v.
struct LinearSource {
  LinearWeight* weight;
  std::vector<at::Tensor> parts, bias;  // undefined where frozen under adapters
  std::vector<std::string> names;       // of the parts, if they have adapters
  std::vector<Adapter> adapters;        // one a part, or none
  std::shared_ptr<const PackedAdapters> packed = nullptr;
};

// What the weights of a model, or of a unit of it, are packed from (packed_form.h).
struct WeightSources {
  std::vector<LinearSource> linear;
  std::vector<std::pair<TableWeight*, at::Tensor>> tables;  // vectors and tables
};

// Walks the tensors of a transformer in the order of ModelConfig::Tensors and says of each which
// weight is packed from it and which leaf gets its gradient. The calls follow that order: a table,
// the layers, a table, the head; of a unit of the model, its own call alone.
//
// Made by TransformerWeights for one walk. Refers to all that it is given.
class SourceBinder {
 public:
  // `leaves`: one a tensor; empty: frozen.
  SourceBinder(const ModelConfig& config, const ModelAdapters& adapters,
               const NamedTensors& tensors, std::vector<at::Tensor> leaves, WeightSources* to);

  void Table(TableWeight* weight);
  void Layer(LayerWeights* layer);
  // Tied: of the first tensor, the embedding.
  void Head(LinearWeight* head);

 private:
  void Linear(int count, bool bias, LinearWeight* weight);

  const ModelConfig& config_;
  const ModelAdapters& adapters_;
  const NamedTensors& tensors_;
  const std::vector<at::Tensor> leaves_;
  WeightSources* const to_;
  size_t next_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_WEIGHT_SOURCES_H_
