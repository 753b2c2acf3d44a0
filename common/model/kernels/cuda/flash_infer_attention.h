#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "common/model/config.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// The attention of decode steps by FlashInfer's kernel (flash_infer.h) in place of our own. It runs
// on GPUs alone, where no test has seen it yet: so a process compares the two on the card itself,
// before it first uses it for heads of a kind, and takes our own where they differ. Owned by a
// decode runner; one thread. Only in builds with RECKON_CUDA.
class FlashInferAttention {
 public:
  // For steps of at most so many rows, with pages_of [rows, most_pages]. Null where our own is to
  // be used: other heads, fp32, or with a row tile, where a decoded token has the bits of a
  // prompt's; and, with a warning in the log, where the comparison fails.
  static std::shared_ptr<const FlashInferAttention> Make(const ModelConfig& config, Dtype dtype,
                                                         int64_t most_rows, int64_t most_pages,
                                                         c10::Device device);

  FlashInferAttention(int64_t most_rows, int64_t most_pages, c10::Device device);

  // What Attend reads of the rows, for all layers of a step.
  at::Tensor LastTokens(const DeviceRows& rows) const;
  // FusedPagedAttention.
  at::Tensor Attend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                    const DeviceRows& rows, const at::Tensor& last_tokens) const;

 private:
  const int64_t most_pages_;
  at::Tensor numbers_, page_begins_, zeros_;  // of FlashInferArgs
};

// Whether FlashInfer's kernel and our own compute the same for these heads, to the precision of
// bf16. Throws what LibTorch throws.
bool FlashInferAgrees(int64_t heads, int64_t kv_heads, int64_t dim, c10::Device device);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_
