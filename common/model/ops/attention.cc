#include "common/model/ops/attention.h"

#include <cmath>
#include <cstring>

#include "common/model/ops/clones.h"
#include "common/model/ops/softmax.h"

namespace reckon {

void WriteKv(const KvShape& shape, char* page, int64_t position, const void* k, const void* v) {
  int64_t slot = position % kPageTokens, dim = shape.head_dim;
  if (shape.element == Element::kBf16) {
    auto* keys = reinterpret_cast<uint16_t*>(page);
    auto* values = reinterpret_cast<uint16_t*>(page + shape.value_offset());
    const auto* from_k = static_cast<const uint16_t*>(k);
    const auto* from_v = static_cast<const uint16_t*>(v);
    for (int64_t d = 0; d < dim; ++d) {
      keys[(d / 2 * kPageTokens + slot) * 2 + d % 2] = from_k[d];
      values[(slot / 2 * dim + d) * 2 + slot % 2] = from_v[d];
    }
  } else {
    auto* keys = reinterpret_cast<float*>(page);
    auto* values = reinterpret_cast<float*>(page + shape.value_offset());
    for (int64_t d = 0; d < dim; ++d) {
      keys[d * kPageTokens + slot] = static_cast<const float*>(k)[d];
    }
    std::memcpy(values + slot * dim, v, dim * sizeof(float));
  }
}

RECKON_CLONES void AttendRowPortable(const KvShape& shape, const void* q, int64_t heads,
                                     const char* const* pages, int64_t keys, float* scratch,
                                     void* out) {
  const int64_t dim = shape.head_dim;
  const bool bf16 = shape.element == Element::kBf16;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t first = 0; first < keys; first += kPageTokens) {
      const char* page = pages[first / kPageTokens];
      float score[kPageTokens] = {};
      for (int64_t d = 0; d < dim; ++d) {
        if (bf16) {
          float x = FromBf16(static_cast<const uint16_t*>(q)[h * dim + d]);
          const auto* row = reinterpret_cast<const uint16_t*>(page) + d / 2 * kPageTokens * 2;
          for (int64_t t = 0; t < kPageTokens; ++t) score[t] += x * FromBf16(row[t * 2 + d % 2]);
        } else {
          float x = static_cast<const float*>(q)[h * dim + d];
          const auto* row = reinterpret_cast<const float*>(page) + d * kPageTokens;
          for (int64_t t = 0; t < kPageTokens; ++t) score[t] += x * row[t];
        }
      }
      for (int64_t t = 0; t < kPageTokens; ++t) scratch[first + t] = score[t] * scale;
    }
    ExpShifted(scratch, keys, 1.0f, MaxOf(scratch, keys), scratch);
    float total = SumFixed(scratch, keys);
    float sum[256] = {};
    for (int64_t t = 0; t < keys; ++t) {
      const char* values = pages[t / kPageTokens] + shape.value_offset();
      int64_t slot = t % kPageTokens;
      if (bf16) {
        float p = FromBf16(ToBf16(scratch[t]));
        const auto* row = reinterpret_cast<const uint16_t*>(values) + slot / 2 * dim * 2;
        for (int64_t d = 0; d < dim; ++d) sum[d] += p * FromBf16(row[d * 2 + slot % 2]);
      } else {
        const auto* row = reinterpret_cast<const float*>(values) + slot * dim;
        for (int64_t d = 0; d < dim; ++d) sum[d] += scratch[t] * row[d];
      }
    }
    for (int64_t d = 0; d < dim; ++d) {
      if (bf16) {
        static_cast<uint16_t*>(out)[h * dim + d] = ToBf16(sum[d] / total);
      } else {
        static_cast<float*>(out)[h * dim + d] = sum[d] / total;
      }
    }
  }
}

void AttendRow(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
               int64_t keys, float* scratch, void* out) {
  if (shape.element == Element::kBf16 && shape.head_dim % 16 == 0 && shape.head_dim <= 128 &&
      HasAvx512Bf16()) {
    AttendRowAvx512(shape, q, heads, pages, keys, scratch, out);
  } else {
    AttendRowPortable(shape, q, heads, pages, keys, scratch, out);
  }
}

}  // namespace reckon
