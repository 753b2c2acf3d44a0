#ifndef RECKON_COMMON_MODEL_ATTENTION_H_
#define RECKON_COMMON_MODEL_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"
#include "common/model/config.h"

namespace reckon {

// The attention of one forward pass: where the keys and values of earlier positions are. It is the
// only part of a forward pass that differs between its two users:
//   KvCache::BeginPass  the actor: keys and values of earlier passes, in pages of the cache
//   PackedAttention     the learner: whole sequences, all of whose rows are in this pass
// The transformer calls Attend once a layer, in the order of the layers, on one thread; a model
// that recomputes its layers also in a backward pass, for which it shares the source (RunLayers).
class AttentionSource : public std::enable_shared_from_this<AttentionSource> {
 public:
  virtual ~AttentionSource() = default;

  // qkv [rows, (heads + 2 * kv_heads) * head_dim], contiguous, of the model's Dtype: the queries,
  // keys and values of every row, after RoPE. Returns softmax(q K^T / sqrt(head_dim)) V, [rows,
  // heads * head_dim], where K and V are those of the row's sequence up to and including the row
  // (causal). Query head h reads kv head h / (heads / kv_heads) (grouped-query attention, Ainslie
  // et al. 2023).
  virtual at::Tensor Attend(int64_t layer, const at::Tensor& qkv) = 0;
};

// Attention within packed sequences, for training and scoring. The rows of sequence s are
// starts[s] .. starts[s+1]-1, in position order from 0; `starts` has one entry more than there are
// sequences. Differentiable. A row's result has the same bits as through the KV cache.
std::shared_ptr<AttentionSource> PackedAttention(const ModelConfig& config,
                                                 std::vector<int64_t> starts,
                                                 Backend backend = Backend::kCpuKernels);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_ATTENTION_H_
