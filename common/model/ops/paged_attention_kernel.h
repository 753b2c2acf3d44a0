#ifndef RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_KERNEL_H_
#define RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_KERNEL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// What the kernel reads and writes, all in device memory; element type bf16 or fp32. Plain
// pointers, so that nvcc sees none of LibTorch.
struct PagedAttentionArgs {
  bool bf16;
  const void* q;  // [rows, heads, dim], row stride q_stride elements
  int64_t q_stride;
  const void *keys, *values;  // [slots, kv_heads, dim]
  const int32_t* pages_of;    // [rows, most_pages]
  const int32_t* positions;   // [rows]
  void* out;                  // [rows, heads, dim]
  int64_t rows, heads, kv_heads, dim, most_pages, page_tokens;
  float scale;
};

cudaError_t LaunchPagedAttention(const PagedAttentionArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_PAGED_ATTENTION_KERNEL_H_
