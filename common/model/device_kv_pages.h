#ifndef RECKON_COMMON_MODEL_DEVICE_KV_PAGES_H_
#define RECKON_COMMON_MODEL_DEVICE_KV_PAGES_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "common/model/kv_pages.h"

namespace reckon {

// Pages as tensors on a device, keys and values each [layers, pages * kPageTokens, kv_heads, dim].
// Attends by the CUDA kernel of ops/paged_attention.cu on a GPU, else by LibTorch's operations.
class DeviceKvPages : public KvPages {
 public:
  DeviceKvPages(const ModelConfig& config, Element element, int64_t layers, int64_t pages,
                c10::Device device);

  void Copy(int64_t from, int64_t to) override;
  at::Tensor Attend(int64_t layer, const std::vector<KvRow>& rows, const at::Tensor& qkv) override;

 private:
  void Place(const std::vector<KvRow>& rows);

  const int64_t kv_heads_, dim_;
  at::Tensor keys_, values_;
  // Of the rows of the pass at hand, the same for all its layers.
  at::Tensor slots_;      // [rows] int64: where each writes
  at::Tensor pages_of_;   // [rows, most pages] int32
  at::Tensor positions_;  // [rows] int32
};

// Each row of q [rows, heads, dim] attends to positions 0 .. positions[row] of its pages; keys and
// values [slots, kv_heads, dim] -> [rows, heads, dim]. Softmax in fp32.
at::Tensor GatherAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const at::Tensor& pages_of, const at::Tensor& positions);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DEVICE_KV_PAGES_H_
