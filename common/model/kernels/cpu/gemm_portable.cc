#include "common/model/kernels/cpu/gemm_portable.h"

#include <cstring>

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {
namespace {

// Row i of the result.
template <typename T>
[[gnu::always_inline]] inline void Store(const float (&sum)[32], const PanelProduct<T>& product,
                                         int64_t i) {
  if (product.mode == OutputMode::kBf16) {
    uint16_t* row = static_cast<uint16_t*>(product.c) + i * product.ldc;
    for (int j = 0; j < 32; ++j) row[j] = ToBf16(sum[j]);
    return;
  }
  const bool accumulate = product.mode == OutputMode::kAccumulateFp32;
  float* row = static_cast<float*>(product.c) + i * product.ldc;
  for (int j = 0; j < 32; ++j) row[j] = accumulate ? row[j] + sum[j] : sum[j];
}

}  // namespace

RECKON_CLONES void PanelBf16Portable(const PanelProduct<uint16_t>& product) {
  for (int64_t i = 0; i < product.m; ++i) {
    const uint16_t* a = product.a + i * product.lda;
    float sum[32] = {};
    for (int64_t p = 0; p < product.k / 2; ++p) {
      const float pair[2] = {FromBf16(a[2 * p]), FromBf16(a[2 * p + 1])};
      uint32_t w[32];
      std::memcpy(w, product.panel + p * 64, sizeof(w));
      for (int j = 0; j < 32; ++j) {
        // A unit of the panel holds two rows of one column, the even one in the lower half. They
        // are added one after the other: the sum is over k in increasing order.
        uint32_t low_bits = w[j] << 16, high_bits = w[j] & 0xffff0000u;
        float low, high;
        std::memcpy(&low, &low_bits, 4);
        std::memcpy(&high, &high_bits, 4);
        sum[j] += pair[0] * low;
        sum[j] += pair[1] * high;
      }
    }
    Store(sum, product, i);
  }
}

RECKON_CLONES void PanelFp32Portable(const PanelProduct<float>& product) {
  for (int64_t i = 0; i < product.m; ++i) {
    float sum[32] = {};
    for (int64_t p = 0; p < product.k; ++p) {
      float x = product.a[i * product.lda + p];
      for (int j = 0; j < 32; ++j) sum[j] += x * product.panel[p * 32 + j];
    }
    Store(sum, product, i);
  }
}

}  // namespace reckon
