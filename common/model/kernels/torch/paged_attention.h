#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_H_

#include <cstdint>

#include "ATen/core/Tensor.h"

namespace reckon {

// The CUDA kernel of paged_attention_kernel.cu for tensors. Only in builds with RECKON_CUDA.

// Whether the kernel is compiled for heads of this size: 32, 64, 96, 128 and 256.
bool CudaAttends(int64_t head_dim);

// GatherAttention (kv_pages.h) as one kernel on the current stream, which reads keys and values in
// their slots instead of gathering them.
at::Tensor PagedAttentionCuda(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                              const at::Tensor& pages_of, const at::Tensor& positions);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_H_
