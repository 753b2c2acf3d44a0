#ifndef RECKON_COMMON_MODEL_ATTENTION_H_
#define RECKON_COMMON_MODEL_ATTENTION_H_

#include <cstdint>
#include <initializer_list>
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

// Which rows of a pass are whose. Segment s has rows starts[s] .. starts[s+1]-1, in position order.
// It is a sequence of its own, from position 0 on, where after[s] is kNoSegment. Otherwise it is a
// branch: it continues the rows of segment after[s], the stem, which is of the first kind and
// comes earlier. So sequences that begin alike need their common rows once.
struct RowSegments {
  static constexpr int64_t kNoSegment = -1;

  RowSegments() = default;
  // Sequences one after another, none of which begins like another.
  RowSegments(std::initializer_list<int64_t> starts)
      : starts(starts), after(starts.size() - 1, kNoSegment) {}

  // Appends a segment of `count` rows; returns its index.
  int64_t Add(int64_t count, int64_t stem = kNoSegment);
  int64_t Count(int64_t segment) const { return starts[segment + 1] - starts[segment]; }
  int64_t size() const { return static_cast<int64_t>(after.size()); }
  int64_t rows() const { return starts.back(); }

  std::vector<int64_t> starts = {0};
  std::vector<int64_t> after;
};

// Attention within packed sequences, for training and scoring. Differentiable. A row's result has
// the same bits as through the KV cache, and gradients are those of sequences without common rows
// up to the order of fp32 sums.
std::shared_ptr<AttentionSource> PackedAttention(const ModelConfig& config, RowSegments segments,
                                                 Backend backend = Backend::kCpuKernels);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_ATTENTION_H_
