#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_PAGED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_PAGED_ATTENTION_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// Operands of the kernel, all in device memory, in bf16 or fp32.
struct PagedAttentionArgs {
  bool bf16;
  const void* q;              // [rows, heads, dim]
  int64_t q_stride;           // elements between rows of q
  const void *keys, *values;  // [slots, kv_heads, dim]
  const int32_t* pages_of;    // [rows, most_pages]
  const int32_t* positions;   // [rows]; below 0: the row is idle, its result zero
  void* out;                  // [rows, heads, dim]
  int64_t rows, heads, kv_heads, dim, most_pages;
  float scale;  // of q . k
};

// Head sizes that the kernel is compiled for.
constexpr bool AttendsHeadsOf(int64_t dim) {
  return dim == 16 || dim == 32 || dim == 64 || dim == 80 || dim == 96 || dim == 112 ||
         dim == 128 || dim == 256;
}

// Starts the kernel: AttentionSource::Attend of each row over the positions 0 .. positions[row] in
// its pages. A row's result has the same bits whatever other rows there are. cudaErrorInvalidValue:
// no kernel for this dim.
cudaError_t LaunchPagedAttention(const PagedAttentionArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_PAGED_ATTENTION_H_
