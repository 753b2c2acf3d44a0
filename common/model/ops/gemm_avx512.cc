// Compiled with AVX512-BF16; called only where the CPU has it.

#include <immintrin.h>

#include <cstring>

#include "common/model/ops/gemm_kernels.h"

namespace reckon {
namespace {

// 12 rows x 32 columns: 24 accumulators, two panel registers, one broadcast.
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
                                             bool add) {
  for (int i = 0; i < kM; ++i) {
    float* row = c + i * ldc;
    if (add) {
      acc[i][0] = _mm512_add_ps(_mm512_loadu_ps(row), acc[i][0]);
      acc[i][1] = _mm512_add_ps(_mm512_loadu_ps(row + 16), acc[i][1]);
    }
    _mm512_storeu_ps(row, acc[i][0]);
    _mm512_storeu_ps(row + 16, acc[i][1]);
  }
}

template <int kM>
void Bf16Block(const uint16_t* a, int64_t lda, const uint16_t* b, int64_t k2, float* c, int64_t ldc,
               bool add) {
  __m512 acc[kM][2];
  ClearRows<kM>(acc);
  for (int64_t p = 0; p < k2; ++p) {
    __m512bh b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64));
    __m512bh b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64 + 32));
#pragma GCC unroll 12
    for (int i = 0; i < kM; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + i * lda + 2 * p, sizeof(pair));
      __m512bh av = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      acc[i][0] = _mm512_dpbf16_ps(acc[i][0], av, b0);
      acc[i][1] = _mm512_dpbf16_ps(acc[i][1], av, b1);
    }
  }
  StoreRows<kM>(acc, c, ldc, add);
}

template <int kM>
void Fp32Block(const float* a, int64_t lda, const float* b, int64_t k, float* c, int64_t ldc,
               bool add) {
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
  StoreRows<kM>(acc, c, ldc, add);
}

// Runs Block<12> over full blocks and the right smaller one over the rest.
template <template <int> class Block, typename T>
void OverRows(const T* a, int64_t m, int64_t lda, const T* panel, int64_t k, float* c, int64_t ldc,
              bool add) {
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    Block<kRows>::Run(a + i * lda, lda, panel, k, c + i * ldc, ldc, add);
  }
  a += i * lda;
  c += i * ldc;
  switch (m - i) {
    case 1:
      return Block<1>::Run(a, lda, panel, k, c, ldc, add);
    case 2:
      return Block<2>::Run(a, lda, panel, k, c, ldc, add);
    case 3:
      return Block<3>::Run(a, lda, panel, k, c, ldc, add);
    case 4:
      return Block<4>::Run(a, lda, panel, k, c, ldc, add);
    case 5:
      return Block<5>::Run(a, lda, panel, k, c, ldc, add);
    case 6:
      return Block<6>::Run(a, lda, panel, k, c, ldc, add);
    case 7:
      return Block<7>::Run(a, lda, panel, k, c, ldc, add);
    case 8:
      return Block<8>::Run(a, lda, panel, k, c, ldc, add);
    case 9:
      return Block<9>::Run(a, lda, panel, k, c, ldc, add);
    case 10:
      return Block<10>::Run(a, lda, panel, k, c, ldc, add);
    case 11:
      return Block<11>::Run(a, lda, panel, k, c, ldc, add);
    default:
      return;
  }
}

template <int kM>
struct Bf16 {
  static void Run(const uint16_t* a, int64_t lda, const uint16_t* b, int64_t k2, float* c,
                  int64_t ldc, bool add) {
    Bf16Block<kM>(a, lda, b, k2, c, ldc, add);
  }
};
template <int kM>
struct Fp32 {
  static void Run(const float* a, int64_t lda, const float* b, int64_t k, float* c, int64_t ldc,
                  bool add) {
    Fp32Block<kM>(a, lda, b, k, c, ldc, add);
  }
};

}  // namespace

void PanelBf16Avx512(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                     float* c, int64_t ldc, bool add) {
  OverRows<Bf16>(a, m, lda, panel, k2, c, ldc, add);
}

void PanelFp32Avx512(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                     float* c, int64_t ldc, bool add) {
  OverRows<Fp32>(a, m, lda, panel, k, c, ldc, add);
}

}  // namespace reckon
