#ifndef RECKON_COMMON_MODEL_WEIGHTS_H_
#define RECKON_COMMON_MODEL_WEIGHTS_H_

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
#include "common/model/config.h"
#include "common/model/kernels/interface.h"
#include "proto/weights.pb.h"

namespace reckon {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct LayerWeights {
  TableWeight input_norm, post_norm, query_norm, key_norm;
  LinearWeight qkv, output, gate_up, down;
};

// The weights of a transformer, or of its top layers, in the forms that kernels/ compute with.
//
//   bytes of a manifest
//     | Load         not trainable: kept only in packed form
//     |              trainable: fp32 tensors that require gradients, in the canonical order of
//     |              ModelConfig::Tensors; the optimizer changes them in place
//     | AddAdapters  merges earlier adapters, rounds the tensors to the dtype and freezes them;
//     |              every *_proj gets fp32 matrices A and B, which are trained instead
//     | Pack         merges the adapters, rounds to the dtype, as a published version is, and
//     v              packs for the matrix kernels
//   embedding(), layers(), final_norm(), head()
//
// One thread; no change during a forward pass. A recorded graph keeps the packed weights it was
// computed with.
class TransformerWeights {
 public:
  // The layers from `first_layer` on; above 0 without the embedding and the head.
  TransformerWeights(const ModelConfig& config, Dtype dtype, Backend backend,
                     int64_t first_layer = 0);
  TransformerWeights(const TransformerWeights&) = delete;
  TransformerWeights& operator=(const TransformerWeights&) = delete;

  // Copies the weights (F32, BF16 or F16) out of the flat buffer that `manifest` describes.
  // INVALID_ARGUMENT names a tensor that is missing, unexpected or of another shape than
  // config.json asks for. With first_layer > 0, tensors of other layers are ignored.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes, bool trainable);
  // Freezes the weights and adds adapters (Hu et al. 2021) of this rank to all linear layers but
  // the head; the weights must be trainable. Where A starts depends on the seed and the tensor's
  // name; B starts at zero, so that nothing changes at first.
  void AddAdapters(int64_t rank, double alpha, uint64_t seed);
  // false: computes with the frozen weights alone, as a reference policy does. Without adapters, a
  // no-op.
  void SwitchAdapters(bool on);
  // What is trained, fp32, in canonical order: all tensors by their Hugging Face names or, with
  // adapters, A and B of each by their PEFT names. Empty unless trainable.
  NamedTensors Parameters() const;
  // All tensors with their adapters merged, fp32, in canonical order. Empty unless trainable.
  NamedTensors Merged() const;
  // Must follow every change of the parameters.
  void Pack();

  const ModelConfig& config() const { return config_; }
  Dtype dtype() const { return dtype_; }
  Backend backend() const { return backend_; }
  const at::Tensor& rope() const { return rope_; }  // [head_dim / 2] fp32, RopeFrequencies
  bool adapted() const { return !adapters_.empty(); }
  int64_t first_layer() const { return first_layer_; }
  const TableWeight& embedding() const { return embedding_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const TableWeight& final_norm() const { return final_norm_; }
  const LinearWeight& head() const { return head_; }  // [num_tokens, hidden]; tied: the embedding

 private:
  // A weight of kernels/ and the tensors that Pack makes it from, e.g. qkv of q, k and v.
  struct Source {
    LinearWeight* weight;
    std::vector<at::Tensor> parts, bias;
    std::vector<Adapter> adapters;  // one a part, or none
  };
  absl::StatusOr<NamedTensors> View(const WeightManifest& manifest,
                                    absl::Span<const char> bytes) const;
  void Bind();

  const ModelConfig config_;
  const Dtype dtype_;
  const Backend backend_;
  const int64_t first_layer_;
  const at::Tensor rope_;
  bool trainable_ = false;
  bool adapters_on_ = true;
  TableWeight embedding_, final_norm_;
  std::vector<LayerWeights> layers_;
  LinearWeight head_;
  NamedTensors tensors_;                     // empty unless trainable
  std::map<std::string, Adapter> adapters_;  // by the name of the tensor
  std::vector<Source> sources_;
  std::vector<std::pair<TableWeight*, at::Tensor>> tables_;  // as Source, for vectors and tables
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_WEIGHTS_H_
