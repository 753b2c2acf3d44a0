#ifndef RECKON_COMMON_MODEL_KV_PAGES_H_
#define RECKON_COMMON_MODEL_KV_PAGES_H_

#include <cstdlib>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/model_config.h"
#include "common/model/ops/attention.h"

namespace reckon {

// Memory for pages of keys and values: page p holds kPageTokens positions of every layer and kv
// head. Zeroed when made, so that what lies beyond a sequence's end is finite. One thread.
class KvPages {
 public:
  KvPages(const ModelConfig& config, Element element, int64_t layers, int64_t pages);

  static int64_t BytesPerPage(const ModelConfig& config, Element element, int64_t layers);
  const KvShape& shape() const { return shape_; }
  int64_t kv_heads() const { return kv_heads_; }
  char* At(int64_t page, int64_t layer, int64_t kv_head) {
    return data_.get() + ((page * layers_ + layer) * kv_heads_ + kv_head) * shape_.page_bytes();
  }
  void Copy(int64_t from, int64_t to);

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  KvShape shape_;
  int64_t layers_;
  int64_t kv_heads_;
  std::unique_ptr<char[], Free> data_;
};

// Where one row of a forward pass stands: its sequence's pages and its position there.
struct KvRow {
  const std::vector<int64_t>* pages;
  int64_t position;
};

// Writes every row's key and value, then attends each row to its sequence up to itself.
// qkv [rows, (heads + 2 * kv_heads) * head_dim], contiguous. Returns [rows, heads * head_dim].
at::Tensor AttendPages(KvPages& pages, int64_t layer, const std::vector<KvRow>& rows,
                       const at::Tensor& qkv);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KV_PAGES_H_
