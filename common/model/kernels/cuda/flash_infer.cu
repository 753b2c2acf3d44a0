#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/prefill.cuh>
#include <flashinfer/attention/variants.cuh>

#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/flash_infer.h"

namespace reckon {
namespace {

using Element = __nv_bfloat16;
using Params = flashinfer::BatchPrefillPagedParams<Element, Element, Element, int32_t>;
// No mask of one's own, no window, no cap of the scores, no ALiBi.
using Variant = flashinfer::DefaultAttention<false, false, false, false>;

template <int kDim, int kTile>
cudaError_t LaunchTile(const FlashInferArgs& a, cudaStream_t stream) {
  const flashinfer::paged_kv_t<Element, int32_t> pages(
      static_cast<uint32_t>(a.kv_heads), kPageTokens, kDim, static_cast<uint32_t>(a.sequences),
      flashinfer::QKVLayout::kNHD, static_cast<Element*>(a.keys), static_cast<Element*>(a.values),
      a.pages_of, a.page_begins, a.last_tokens);
  Params params(static_cast<Element*>(a.q), pages, /*maybe_custom_mask=*/nullptr,
                /*q_indptr=*/a.row_begins, /*maybe_mask_indptr=*/nullptr,
                /*maybe_q_rope_offset=*/nullptr, static_cast<Element*>(a.out), /*lse=*/nullptr,
                /*maybe_alibi_slopes=*/nullptr, static_cast<uint32_t>(a.heads),
                static_cast<int32_t>(a.heads * kDim), kDim, /*window_left=*/-1,
                /*logits_soft_cap=*/0, a.scale, /*rope_scale=*/1, /*rope_theta=*/1e4f);
  params.request_indices = a.sequence_of;
  params.qo_tile_indices = a.tile_of;
  params.o_indptr = a.row_begins;
  // Keys are not divided, so these two change nothing. But the kernel loads both, and divides by
  // the second, which row_begins[1] is at least 1 for.
  params.kv_tile_indices = a.tile_of;
  params.kv_chunk_size_ptr = a.row_begins + 1;
  params.padded_batch_size = static_cast<uint32_t>(a.blocks);
  return flashinfer::BatchPrefillWithPagedKVCacheDispatched<
      /*SAME_KV_STRIDES=*/true, kTile, kDim, kDim, flashinfer::PosEncodingMode::kNone,
      /*USE_FP16_QK_REDUCTION=*/false, flashinfer::MaskMode::kCausal, Variant>(
      params, /*tmp_v=*/nullptr, /*tmp_s=*/nullptr, /*enable_pdl=*/false, stream);
}

template <int kDim>
cudaError_t LaunchDim(const FlashInferArgs& a, cudaStream_t stream) {
  if (a.tile == kFlashInferStepTile) return LaunchTile<kDim, kFlashInferStepTile>(a, stream);
  if (a.tile == kFlashInferPromptTile) return LaunchTile<kDim, kFlashInferPromptTile>(a, stream);
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t LaunchFlashInfer(const FlashInferArgs& args, cudaStream_t stream) {
  if (args.dim == 64) return LaunchDim<64>(args, stream);
  if (args.dim == 128) return LaunchDim<128>(args, stream);
  return cudaErrorInvalidValue;
}

}  // namespace reckon
