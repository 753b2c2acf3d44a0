#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "common/model/config.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// The attention of decode steps and prompts by FlashInfer's kernel (flash_infer.h) in place of our
// own. Its code is for GPUs alone, so tests on the CPU run a double of it
// (tests/support/cuda_on_cpu/flash_infer.cu), and a process compares it with our own kernel on the
// card itself before it first uses it for heads of a kind:
//
//   UsesFlashInfer   whether a pass takes it; the first call for heads and tile compares
//   ...Tiles         which block computes what; once a pass, all layers read it
//   FlashInferAttend each layer
//
// Throws what LibTorch throws. Only in builds with RECKON_CUDA, and in tests.

// Sequences of a pass: rows of it, which are adjacent, and tokens in all, those rows included.
struct RowsOfSequence {
  int64_t rows = 0, tokens = 0;
};

// int32 on the device; what FlashInferArgs says.
struct FlashInferTiles {
  int64_t tile = 0;
  at::Tensor row_begins, page_begins, last_tokens, sequence_of, tile_of;
};

// The tile for a pass over these sequences: the narrow one where each has one row, as in a decode
// step.
int64_t FlashInferTileOf(const std::vector<RowsOfSequence>& sequences);

// False, so that our own kernel attends: for other heads, in fp32, or with a row tile, where a
// decoded token has the bits of a prompt's; and, with a warning in the log, where the comparison
// fails.
bool UsesFlashInfer(const ModelConfig& config, Dtype dtype, int64_t tile, c10::Device device);

// Of passes over at most so many rows, each a sequence of its own, with DeviceRows::pages_of [rows,
// most_pages]. last_tokens are those of a step, LastTokensOf its rows; an idle row has no token.
FlashInferTiles StepTiles(int64_t rows, int64_t most_pages, c10::Device device);
at::Tensor LastTokensOf(const DeviceRows& rows);

// Of a pass with DeviceRows::pages_of [rows, most_pages], in which the first row of a sequence has
// the pages of all of its tokens. `group`: heads that share a kv head. `send` copies a tensor to
// the device.
FlashInferTiles PromptTiles(const std::vector<RowsOfSequence>& sequences, int64_t most_pages,
                            int64_t group,
                            absl::FunctionRef<at::Tensor(const at::Tensor& host)> send);

// FusedPagedAttention. `tiles` may be of more sequences than q has rows, if each has one.
at::Tensor FlashInferAttend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& pages_of, const FlashInferTiles& tiles);

// Whether FlashInfer's kernel and our own compute the same for these heads, to the precision of
// bf16.
bool FlashInferAgrees(int64_t heads, int64_t kv_heads, int64_t dim, int64_t tile,
                      c10::Device device);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_FLASH_INFER_ATTENTION_H_
