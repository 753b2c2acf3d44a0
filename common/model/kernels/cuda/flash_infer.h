#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// What PagedAttention computes, by FlashInfer's kernel for tensor cores (Ye et al. 2025, arXiv
// 2501.01005), in bf16. The rows of a sequence are computed together: those of the pass are its
// last tokens, and each attends to all before it and to itself. A query is one head of one row. The
// queries of a kv head are numbered row by row, and a block computes one tile of them, of which it
// reads the keys and values once:
//
//   sequence s    rows row_begins[s] .. row_begins[s + 1] - 1, tokens by page_begins and
//   last_tokens block b       queries tile * tile_of[b] .. of sequence sequence_of[b]
//
// A sequence's keys are never divided among blocks, and a block reads them from the first one on.
// So the sums of a row have an order that depends neither on the other rows nor on the place of the
// row in its tile. Device memory.
struct FlashInferArgs {
  void* q;               // [rows, heads, dim]
  void *keys, *values;   // [slots, kv_heads, dim]
  int32_t* pages_of;     // of all sequences
  int32_t* row_begins;   // [sequences + 1], from 0; each sequence has a row
  int32_t* page_begins;  // [sequences + 1]: where in pages_of a sequence's pages begin
  // [sequences]: the tokens of a sequence but those of its first page_begins[s + 1] -
  // page_begins[s] - 1 pages; below 0 where it has fewer pages.
  int32_t* last_tokens;
  int32_t *sequence_of, *tile_of;  // [blocks]
  void* out;                       // [rows, heads, dim]
  int64_t tile;                    // kFlashInferStepTile or kFlashInferPromptTile
  int64_t sequences, blocks, heads, kv_heads, dim;
  float scale;  // of q . k
};

// Tiles that it is compiled for. Four warps share the keys of a narrow one, and the queries of a
// wide one, so the two have other orders of sums.
constexpr int64_t kFlashInferStepTile = 16, kFlashInferPromptTile = 128;

// Heads that it is compiled for.
constexpr bool FlashInferAttends(int64_t heads, int64_t kv_heads, int64_t dim) {
  return (dim == 64 || dim == 128) && heads / kv_heads <= kFlashInferStepTile;
}

cudaError_t LaunchFlashInfer(const FlashInferArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_H_
