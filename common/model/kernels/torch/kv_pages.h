#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_KV_PAGES_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_KV_PAGES_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "common/model/kv_pages.h"

namespace reckon {

// KvPages as two tensors on a device. Attend computes by LibTorch's operations, what decode/ does
// not: head sizes that the kernels of kernels/cuda lack, and the reference of tests. One thread.
class TorchKvPages : public KvPages {
 public:
  TorchKvPages(const ModelConfig& config, Dtype dtype, int64_t layers, int64_t pages,
               c10::Device device);

  Layer OfLayer(int64_t layer) const override {
    return {keys_.select(0, layer), values_.select(0, layer)};
  }
  void Copy(int64_t from, int64_t to) override;
  at::Tensor Attend(int64_t layer, const std::vector<KvRow>& rows, const at::Tensor& qkv) override;

 private:
  void LocateRows(const std::vector<KvRow>& rows);

  const int64_t kv_heads_, dim_;
  at::Tensor keys_, values_;  // [layers, slots, kv_heads, dim]
  // Of the rows of this pass; set at layer 0, the same for all layers.
  at::Tensor slots_;      // [rows] int64: where each row's key and value are written
  at::Tensor pages_of_;   // [rows, most pages of a row] int32
  at::Tensor positions_;  // [rows] int32
};

// Attention by LibTorch's operations, with the keys and values gathered from their slots first.
// q [rows, heads, dim]; keys and values [slots, kv_heads, dim]. Each row attends to positions
// 0 .. positions[row] of its pages. Returns [rows, heads, dim]. Softmax in fp32.
at::Tensor GatherAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const at::Tensor& pages_of, const at::Tensor& positions);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_KV_PAGES_H_
