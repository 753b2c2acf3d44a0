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

template <int kDim>
cudaError_t LaunchDim(const FlashInferArgs& a, cudaStream_t stream) {
  const auto rows = static_cast<uint32_t>(a.rows), heads = static_cast<uint32_t>(a.heads);
  const flashinfer::paged_kv_t<Element, int32_t> pages(
      static_cast<uint32_t>(a.kv_heads), kPageTokens, kDim, rows, flashinfer::QKVLayout::kNHD,
      static_cast<Element*>(a.keys), static_cast<Element*>(a.values), a.pages_of, a.page_begins,
      a.last_tokens);
  Params params(static_cast<Element*>(a.q), pages, /*maybe_custom_mask=*/nullptr,
                /*q_indptr=*/a.numbers, /*maybe_mask_indptr=*/nullptr,
                /*maybe_q_rope_offset=*/nullptr, static_cast<Element*>(a.out), /*lse=*/nullptr,
                /*maybe_alibi_slopes=*/nullptr, heads, static_cast<int32_t>(a.heads * kDim), kDim,
                /*window_left=*/-1, /*logits_soft_cap=*/0, a.scale, /*rope_scale=*/1,
                /*rope_theta=*/1e4f);
  // One tile a row, over all of its keys.
  params.request_indices = a.numbers;
  params.qo_tile_indices = a.zeros;
  params.kv_tile_indices = a.zeros;
  params.o_indptr = a.numbers;
  params.kv_chunk_size_ptr = a.zeros;
  params.padded_batch_size = rows;
  return flashinfer::BatchPrefillWithPagedKVCacheDispatched<
      /*SAME_KV_STRIDES=*/true, /*CTA_TILE_Q=*/16, kDim, kDim, flashinfer::PosEncodingMode::kNone,
      /*USE_FP16_QK_REDUCTION=*/false, flashinfer::MaskMode::kCausal, Variant>(
      params, /*tmp_v=*/nullptr, /*tmp_s=*/nullptr, /*enable_pdl=*/false, stream);
}

}  // namespace

cudaError_t LaunchFlashInfer(const FlashInferArgs& args, cudaStream_t stream) {
  if (args.dim == 64) return LaunchDim<64>(args, stream);
  if (args.dim == 128) return LaunchDim<128>(args, stream);
  return cudaErrorInvalidValue;
}

}  // namespace reckon
