#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_KERNEL_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_KERNEL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// Operands of the kernel, all in device memory, in bf16 or fp32. Plain pointers, so that nvcc
// compiles nothing of LibTorch.
struct PagedAttentionArgs {
  bool bf16;
  const void* q;              // [rows, heads, dim]
  int64_t q_stride;           // elements between rows of q
  const void *keys, *values;  // [slots, kv_heads, dim]
  const int32_t* pages_of;    // [rows, most_pages]
  const int32_t* positions;   // [rows]
  void* out;                  // [rows, heads, dim]
  int64_t rows, heads, kv_heads, dim, most_pages, page_tokens;
  float scale;  // of q . k
};

// Starts the kernel on `stream`. cudaErrorInvalidValue: no kernel for this dim.
cudaError_t LaunchPagedAttention(const PagedAttentionArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PAGED_ATTENTION_KERNEL_H_
