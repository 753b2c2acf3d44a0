#include "common/model/kernels/cpu/attention_portable.h"

#include <cmath>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {

RECKON_CLONES void AttendRowPortable(const KvShape& shape, const void* q, int64_t heads,
                                     const char* const* pages, int64_t keys,
                                     const char* const* /*next*/, float* scratch, void* out) {
  const int64_t dim = shape.head_dim;
  const bool bf16 = shape.dtype == Dtype::kBf16;
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
      // Whole pages, so that the loops have a length that the compiler knows. Scores beyond `keys`
      // come from whatever the page holds; nothing below reads them.
      for (int64_t t = 0; t < kPageTokens; ++t) scratch[first + t] = score[t] * scale;
    }
    float total = ExpSum(scratch, keys, 1.0f, MaxOf(scratch, keys), scratch);
    float sum[kMaxHeadDim] = {};
    for (int64_t t = 0; t < keys; ++t) {
      const char* values = pages[t / kPageTokens] + shape.value_offset();
      int64_t slot = t % kPageTokens;
      if (bf16) {
        // Rounded as in the AVX-512 kernel, whose products take bf16 operands.
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

}  // namespace reckon
