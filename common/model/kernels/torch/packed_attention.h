#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/attention.h"

namespace reckon {

// Which rows attend to which, as a kernel for sequences of any length reads it: queries begins[s]
// .. begins[s+1]-1 attend to keys key_begins[s] .. key_begins[s+1]-1, of which the last
// begins[s+1] - begins[s] are their own (causal).
struct AttentionSpans {
  std::vector<int32_t> begins = {0}, key_begins = {0};
  int64_t most_queries = 0, most_keys = 0;

  void Add(int64_t queries, int64_t keys);
  int64_t size() const { return static_cast<int64_t>(begins.size()) - 1; }
};

// q [rows, heads, dim], k and v [keys, kv_heads, dim] -> [rows, heads, dim]. begins and key_begins
// are those of `spans` on the device. In bf16 on a GPU one call of the flash kernels for all spans
// (Dao 2023); elsewhere one of scaled_dot_product_attention for each. Differentiable.
at::Tensor AttendSpans(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const AttentionSpans& spans, const at::Tensor& begins,
                       const at::Tensor& key_begins);

// PackedAttention by AttendSpans, on the device of the rows. Keys of a stem are copied for each of
// its branches, never computed again. Differentiable.
std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
