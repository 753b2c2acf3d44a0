#ifndef RECKON_COMMON_MODEL_KV_PAGES_H_
#define RECKON_COMMON_MODEL_KV_PAGES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"
#include "common/model/ops/attention.h"
#include "common/weights/model_config.h"

namespace reckon {

// Where one row of a forward pass stands: its sequence's pages and its position there.
struct KvRow {
  const std::vector<int64_t>* pages;
  int64_t position;
};

// Memory for pages of keys and values: page p holds kPageTokens positions of every layer and kv
// head. Zeroed when made, so that what lies beyond a sequence's end is finite. One thread.
class KvPages {
 public:
  static std::unique_ptr<KvPages> Make(const ModelConfig& config, Element element, int64_t layers,
                                       int64_t pages, Backend backend);
  virtual ~KvPages() = default;

  static int64_t BytesPerPage(const ModelConfig& config, Element element, int64_t layers);
  virtual void Copy(int64_t from, int64_t to) = 0;
  // Writes every row's key and value, then attends each row to its sequence up to itself.
  // qkv [rows, (heads + 2 * kv_heads) * head_dim], contiguous. Returns [rows, heads * head_dim].
  virtual at::Tensor Attend(int64_t layer, const std::vector<KvRow>& rows,
                            const at::Tensor& qkv) = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KV_PAGES_H_
