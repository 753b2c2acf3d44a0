#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// What PagedAttention computes, by FlashInfer's kernel for tensor cores (Ye et al. 2025, arXiv
// 2501.01005), in bf16. Every row is a sequence of one query to it, whose heads of one kv head are
// a tile of 16, of which it reads the keys and values once. It never divides a row's keys, so a
// row's result does not depend on the others. Device memory.
struct FlashInferArgs {
  void* q;               // [rows, heads, dim]
  void *keys, *values;   // [slots, kv_heads, dim]
  int32_t* pages_of;     // [rows, most_pages]
  int32_t* page_begins;  // [rows + 1]: row * most_pages
  int32_t* last_tokens;  // [rows]: positions in the row's pages but the first most_pages - 1, below
                         // 0 where the row has fewer
  int32_t* numbers;      // [rows + 1]: 0, 1, 2, ...
  int32_t* zeros;        // [rows]
  void* out;             // [rows, heads, dim]
  int64_t rows, heads, kv_heads, dim;
  float scale;  // of q . k
};

// Heads that it is compiled for; each size costs the build 25 s of a core.
constexpr bool FlashInferAttends(int64_t heads, int64_t kv_heads, int64_t dim) {
  return (dim == 64 || dim == 128) && heads / kv_heads <= 16;
}

cudaError_t LaunchFlashInfer(const FlashInferArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_
