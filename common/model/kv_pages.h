#ifndef RECKON_COMMON_MODEL_KV_PAGES_H_
#define RECKON_COMMON_MODEL_KV_PAGES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// One row of a forward pass: the pages of its sequence and its position there. `copies`: pages of
// other sequences that begin with this row, or null; only the CPU kernels know them.
struct KvRow {
  const std::vector<int64_t>* pages;
  int64_t position;
  const std::vector<int64_t>* copies = nullptr;
};

// The memory of a KV cache: each page holds the keys and values of kPageTokens positions, for every
// layer and kv head. CPU: one buffer in the layout of the attention kernels. LibTorch
// (kernels/torch): tensors on the device. Zeroed at first. What an earlier sequence left in a page,
// even NaN, has no effect on a later one. Owned by one KvCache or PackedAttention, which decide
// which sequence holds which page. One thread.
class KvPages {
 public:
  static std::unique_ptr<KvPages> Make(const ModelConfig& config, Dtype dtype, int64_t layers,
                                       int64_t pages, Backend backend);
  virtual ~KvPages() = default;

  static int64_t BytesPerPage(const ModelConfig& config, Dtype dtype, int64_t layers);

  // Keys and values of a layer in slots, [slots, kv_heads, dim]: position t of a sequence is in
  // slot page(t) * kPageTokens + t % kPageTokens. Not of the CPU kernels, which have a layout of
  // their own.
  struct Layer {
    at::Tensor keys, values;
  };
  virtual Layer OfLayer(int64_t layer) const = 0;

  // Copies a whole page, all layers.
  virtual void Copy(int64_t from, int64_t to) = 0;
  // Writes the keys and values of all rows, then computes AttentionSource::Attend.
  // qkv [rows, (heads + 2 * kv_heads) * head_dim], contiguous -> [rows, heads * head_dim].
  virtual at::Tensor Attend(int64_t layer, const std::vector<KvRow>& rows,
                            const at::Tensor& qkv) = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KV_PAGES_H_
