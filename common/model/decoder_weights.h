#ifndef RECKON_COMMON_MODEL_DECODER_WEIGHTS_H_
#define RECKON_COMMON_MODEL_DECODER_WEIGHTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/backend.h"
#include "common/model/ops/ops.h"
#include "common/weights/model_config.h"
#include "proto/weights.pb.h"

namespace reckon {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct DecoderLayer {
  TableWeight input_norm, post_norm, query_norm, key_norm;
  LinearWeight qkv, output, gate_up, down;
};

// The weights of a decoder, or of its top layers, as the operations of ops/ read them: the tensors
// of a checkpoint, their fp32 leaves or adapters when they are trained, and copies packed for the
// matrix kernels. One thread; not while a forward pass reads them.
class DecoderWeights {
 public:
  // From `first_layer` above 0 on: without the embedding and the head.
  DecoderWeights(const ModelConfig& config, Element element, Backend backend,
                 int64_t first_layer = 0);

  // As Transformer's. Layers below the first are not looked at.
  static std::vector<TensorEntry> Expected(const ModelConfig& config, int64_t first_layer = 0);
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes, bool trainable);
  void AddAdapters(int64_t rank, double alpha, uint64_t seed);
  void SwitchAdapters(bool on);
  NamedTensors Parameters() const;
  NamedTensors Merged() const;
  void Pack();

  const ModelConfig& config() const { return config_; }
  Element element() const { return element_; }
  Backend backend() const { return backend_; }
  const at::Tensor& rope() const { return rope_; }  // frequencies of the rotary embedding
  bool adapted() const { return !adapters_.empty(); }
  int64_t first_layer() const { return first_layer_; }
  const TableWeight& embedding() const { return embedding_; }
  const std::vector<DecoderLayer>& layers() const { return layers_; }
  const TableWeight& final_norm() const { return final_norm_; }
  const LinearWeight& head() const { return head_; }

 private:
  // A weight with the tensors it is made of.
  struct Source {
    LinearWeight* weight;
    std::vector<at::Tensor> parts, bias;
    std::vector<Adapter> adapters;  // one a part, or none
  };
  absl::StatusOr<NamedTensors> Read(const WeightManifest& manifest,
                                    absl::Span<const char> bytes) const;
  void Bind();
  void PackLinear(LinearWeight& weight, const std::vector<at::Tensor>& parts) const;

  const ModelConfig config_;
  const Element element_;
  const Backend backend_;
  const int64_t first_layer_;
  const at::Tensor rope_;
  bool trainable_ = false;
  bool adapters_on_ = true;
  TableWeight embedding_, final_norm_;
  std::vector<DecoderLayer> layers_;
  LinearWeight head_;
  // In canonical order. Fp32 leaves when trained; frozen under adapters, in the compute type.
  NamedTensors tensors_;
  std::map<std::string, Adapter> adapters_;  // by name of the tensor
  // What Pack reads.
  std::vector<Source> sources_;
  std::vector<std::pair<TableWeight*, at::Tensor>> tables_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODER_WEIGHTS_H_
