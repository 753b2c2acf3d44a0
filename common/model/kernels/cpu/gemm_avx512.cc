// Compiled for AVX-512F; the bf16 half is compiled for AVX512-BF16 by an attribute.
#include "common/model/kernels/cpu/gemm_avx512.h"

#include <immintrin.h>

#include <cstring>

namespace reckon {
namespace {

// Rows worked on at a time: 12 x 32 columns fill 24 of the 32 registers with sums; two more hold a
// row of the panel, one an element of A.
constexpr int kRows = 12;

template <int kM>
[[gnu::always_inline]] inline void ClearRows(__m512 (&acc)[kM][2]) {
  for (int i = 0; i < kM; ++i) {
    acc[i][0] = _mm512_setzero_ps();
    acc[i][1] = _mm512_setzero_ps();
  }
}

template <int kM>
[[gnu::always_inline]] inline void StoreRows(__m512 (&acc)[kM][2], float* c, int64_t ldc,
                                             bool accumulate) {
  for (int i = 0; i < kM; ++i) {
    float* row = c + i * ldc;
    // Once, after the sum over k is complete, as gemm_kernels.h asks.
    if (accumulate) {
      acc[i][0] = _mm512_add_ps(_mm512_loadu_ps(row), acc[i][0]);
      acc[i][1] = _mm512_add_ps(_mm512_loadu_ps(row + 16), acc[i][1]);
    }
    _mm512_storeu_ps(row, acc[i][0]);
    _mm512_storeu_ps(row + 16, acc[i][1]);
  }
}

template <int kM>
struct Bf16Block {
  [[gnu::target("avx512bf16")]] static void Run(const uint16_t* a, int64_t lda, const uint16_t* b,
                                                int64_t k2, float* c, int64_t ldc,
                                                bool accumulate) {
    __m512 acc[kM][2];
    ClearRows<kM>(acc);
    for (int64_t p = 0; p < k2; ++p) {
      __m512bh b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64));
      __m512bh b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64 + 32));
#pragma GCC unroll 12
      for (int i = 0; i < kM; ++i) {
        // memcpy, because A's elements are 16 bits wide and a cast pointer would break the aliasing
        // rule; it compiles to one broadcast.
        int32_t pair;
        std::memcpy(&pair, a + i * lda + 2 * p, sizeof(pair));
        __m512bh av = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        acc[i][0] = _mm512_dpbf16_ps(acc[i][0], av, b0);
        acc[i][1] = _mm512_dpbf16_ps(acc[i][1], av, b1);
      }
    }
    StoreRows<kM>(acc, c, ldc, accumulate);
  }
};

template <int kM>
struct Fp32Block {
  static void Run(const float* a, int64_t lda, const float* b, int64_t k, float* c, int64_t ldc,
                  bool accumulate) {
    __m512 acc[kM][2];
    ClearRows<kM>(acc);
    for (int64_t p = 0; p < k; ++p) {
      __m512 b0 = _mm512_loadu_ps(b + p * 32), b1 = _mm512_loadu_ps(b + p * 32 + 16);
#pragma GCC unroll 12
      for (int i = 0; i < kM; ++i) {
        __m512 av = _mm512_set1_ps(a[i * lda + p]);
        acc[i][0] = _mm512_fmadd_ps(av, b0, acc[i][0]);
        acc[i][1] = _mm512_fmadd_ps(av, b1, acc[i][1]);
      }
    }
    StoreRows<kM>(acc, c, ldc, accumulate);
  }
};

// The last m < kM rows, by the block of that size.
template <template <int> class Block, int kM, typename T>
void LastRows(const T* a, int64_t m, int64_t lda, const T* panel, int64_t k, float* c, int64_t ldc,
              bool accumulate) {
  if constexpr (kM > 1) {
    if (m == kM - 1) return Block<kM - 1>::Run(a, lda, panel, k, c, ldc, accumulate);
    LastRows<Block, kM - 1>(a, m, lda, panel, k, c, ldc, accumulate);
  }
}

// A row's arithmetic is the same in every block, so it does not matter which rows share one.
template <template <int> class Block, typename T>
void AllRows(const T* a, int64_t m, int64_t lda, const T* panel, int64_t k, float* c, int64_t ldc,
             bool accumulate) {
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    Block<kRows>::Run(a + i * lda, lda, panel, k, c + i * ldc, ldc, accumulate);
  }
  LastRows<Block, kRows>(a + i * lda, m - i, lda, panel, k, c + i * ldc, ldc, accumulate);
}

}  // namespace

void PanelFp32Avx512(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                     float* c, int64_t ldc, bool accumulate) {
  AllRows<Fp32Block>(a, m, lda, panel, k, c, ldc, accumulate);
}

void PanelBf16Avx512(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                     float* c, int64_t ldc, bool accumulate) {
  AllRows<Bf16Block>(a, m, lda, panel, k2, c, ldc, accumulate);
}

}  // namespace reckon
