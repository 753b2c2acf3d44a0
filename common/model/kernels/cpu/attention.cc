#include "common/model/kernels/cpu/attention.h"

#include <cstring>

#include "common/model/kernels/cpu/attention_avx512.h"
#include "common/model/kernels/cpu/attention_portable.h"
// Last.
#include "common/base/log.h"

namespace reckon {

void WriteKv(const KvShape& shape, char* page, int64_t position, const void* k, const void* v) {
  int64_t slot = position % kPageTokens, dim = shape.head_dim;
  if (shape.dtype == Dtype::kBf16) {
    auto* keys = reinterpret_cast<uint16_t*>(page);
    auto* values = reinterpret_cast<uint16_t*>(page + shape.value_offset());
    const auto* from_k = static_cast<const uint16_t*>(k);
    const auto* from_v = static_cast<const uint16_t*>(v);
    // Two lanes of a key are neighbours in both places.
    for (int64_t d = 0; d < dim; d += 2) {
      std::memcpy(keys + (d / 2 * kPageTokens + slot) * 2, from_k + d, 2 * sizeof(uint16_t));
    }
    uint16_t* to_v = values + slot / 2 * dim * 2 + slot % 2;
    for (int64_t d = 0; d < dim; ++d) to_v[2 * d] = from_v[d];
  } else {
    auto* keys = reinterpret_cast<float*>(page);
    auto* values = reinterpret_cast<float*>(page + shape.value_offset());
    for (int64_t d = 0; d < dim; ++d) {
      keys[d * kPageTokens + slot] = static_cast<const float*>(k)[d];
    }
    std::memcpy(values + slot * dim, v, dim * sizeof(float));
  }
}

AttendRowKernel ChooseAttention(const CpuFeatures& cpu, const KvShape& shape) {
  // A register holds 16 columns of a head, and the kernel has no masked tail.
  const bool fits =
      shape.dtype == Dtype::kBf16 && shape.head_dim % 16 == 0 && shape.head_dim <= 128;
  return fits && cpu.avx512_bf16 ? AttendRowAvx512 : AttendRowPortable;
}

void AttendRow(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
               int64_t keys, const char* const* next, float* scratch, void* out) {
  CHECK(shape.head_dim <= kMaxHeadDim) << shape.head_dim;
  ChooseAttention(CpuFeatures::OfThisCpu(), shape)(shape, q, heads, pages, keys, next, scratch,
                                                   out);
}

}  // namespace reckon
