#ifndef RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_H_
#define RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_H_

#include <cstdint>

#include "ATen/core/Tensor.h"

namespace reckon {

// Only in builds with RECKON_CUDA.

// True for head sizes that PagedAttentionCuda has: 32, 64, 96, 128 and 256.
bool CudaAttends(int64_t head_dim);

// GatherAttention of device_kv_pages.h as one kernel on the current stream, which reads the keys
// and values where they lie.
at::Tensor PagedAttentionCuda(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                              const at::Tensor& pages_of, const at::Tensor& positions);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_H_
