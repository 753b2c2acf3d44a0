#include "common/model/kernels/cpu/gemm_portable.h"

#include <cstring>

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

RECKON_CLONES void PanelBf16Portable(const uint16_t* a, int64_t m, int64_t lda,
                                     const uint16_t* panel, int64_t k2, float* c, int64_t ldc,
                                     bool accumulate, const void*) {
  for (int64_t i = 0; i < m; ++i) {
    float sum[32] = {};
    for (int64_t p = 0; p < k2; ++p) {
      uint32_t bits[2] = {static_cast<uint32_t>(a[i * lda + 2 * p]) << 16,
                          static_cast<uint32_t>(a[i * lda + 2 * p + 1]) << 16};
      float pair[2];
      std::memcpy(pair, bits, sizeof(pair));
      uint32_t w[32];
      std::memcpy(w, panel + p * 64, sizeof(w));
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
    float* row = c + i * ldc;
    for (int j = 0; j < 32; ++j) row[j] = accumulate ? row[j] + sum[j] : sum[j];
  }
}

RECKON_CLONES void PanelFp32Portable(const float* a, int64_t m, int64_t lda, const float* panel,
                                     int64_t k, float* c, int64_t ldc, bool accumulate,
                                     const void*) {
  for (int64_t i = 0; i < m; ++i) {
    float sum[32] = {};
    for (int64_t p = 0; p < k; ++p) {
      float x = a[i * lda + p];
      for (int j = 0; j < 32; ++j) sum[j] += x * panel[p * 32 + j];
    }
    float* row = c + i * ldc;
    for (int j = 0; j < 32; ++j) row[j] = accumulate ? row[j] + sum[j] : sum[j];
  }
}

}  // namespace reckon
