// Compiled for AVX-512F; the bf16 half is compiled for AVX512-BF16 by an attribute.
#include "common/model/kernels/cpu/gemm_avx512.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace reckon {
namespace {

// Rows worked on at a time: 12 x 32 columns fill 24 of the 32 registers with sums; two more hold a
// row of the panel, one an element of A.
constexpr int kRows = 12;

// Fetches a panel that is needed later, line by line while another one is computed with, so that
// the memory's time is hidden. A burst of fetches would be as slow as reading: they wait for the
// memory together, and what is computed waits with them. A fetch beyond the panel does no harm.
class Fetcher {
 public:
  // While m rows are multiplied by `panel`. With no next panel it fetches lines of this one, which
  // costs less than a branch.
  Fetcher(const void* next, const void* panel, int64_t m)
      : line_(static_cast<const char*>(next != nullptr ? next : panel)),
        // A step over k reads two lines of the panel, in each of the m / kRows blocks. So as many
        // blocks fetch the two lines of the next panel for it, half a block one line.
        steps_(std::max<int64_t>((m + kRows - 1) / kRows / 2, 1)) {}

  // Steps over k between two calls of FetchLine.
  int64_t steps() const { return steps_; }
  void FetchLine() {
    _mm_prefetch(line_, _MM_HINT_T0);
    line_ += 64;
  }

 private:
  const char* line_;
  int64_t steps_;
};

// The pragmas keep the sums in registers: with a loop left over them, the compiler gives the array
// an address, and stores all of it in every step over k.
template <int kM>
[[gnu::always_inline]] inline void ClearRows(__m512 (&acc)[kM][2]) {
#pragma GCC unroll 12
  for (int i = 0; i < kM; ++i) {
    acc[i][0] = _mm512_setzero_ps();
    acc[i][1] = _mm512_setzero_ps();
  }
}

template <int kM>
[[gnu::always_inline]] inline void StoreRows(__m512 (&acc)[kM][2], float* c, int64_t ldc,
                                             bool accumulate) {
#pragma GCC unroll 12
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

// The same past the caches. A line that a plain store writes to is read from memory first, although
// all of it is overwritten. SFENCE must follow before another thread reads.
template <int kM>
[[gnu::always_inline]] inline void StreamRows(__m512 (&acc)[kM][2], float* c, int64_t ldc) {
#pragma GCC unroll 12
  for (int i = 0; i < kM; ++i) {
    _mm512_stream_ps(c + i * ldc, acc[i][0]);
    _mm512_stream_ps(c + i * ldc + 16, acc[i][1]);
  }
}

// c = or += the sums, as fp32.
template <int kM>
[[gnu::always_inline]] inline void WriteRows(__m512 (&acc)[kM][2], float* c, int64_t ldc,
                                             OutputMode mode, bool streams) {
  if (streams) {
    StreamRows<kM>(acc, c, ldc);
  } else {
    StoreRows<kM>(acc, c, ldc, mode == OutputMode::kAccumulateFp32);
  }
}

// Rounds to nearest, ties to even, as ToBf16, but for numbers below the least normal one, which
// become 0: the product that reads them would take them for 0 too.
template <int kM>
[[gnu::target("avx512bf16"), gnu::always_inline]] inline void RoundRows(__m512 (&acc)[kM][2],
                                                                        uint16_t* c, int64_t ldc) {
#pragma GCC unroll 12
  for (int i = 0; i < kM; ++i) {
    _mm512_storeu_si512(c + i * ldc,
                        reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(acc[i][1], acc[i][0])));
  }
}

// kM rows of a product, from row `first` on.
template <int kM>
struct Bf16Block {
  [[gnu::target("avx512bf16")]] static void Run(const PanelProduct<uint16_t>& product,
                                                int64_t first, Fetcher* fetcher) {
    const int64_t lda = product.lda, k2 = product.k / 2;
    const uint16_t* a = product.a + first * lda;
    const uint16_t* b = product.panel;
    __m512 acc[kM][2];
    ClearRows<kM>(acc);
    Fetcher fetch = *fetcher;  // in registers
    for (int64_t p = 0; p < k2;) {
      fetch.FetchLine();
      for (const int64_t end = std::min(k2, p + fetch.steps()); p < end; ++p) {
        __m512bh b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64));
        __m512bh b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * 64 + 32));
#pragma GCC unroll 12
        for (int i = 0; i < kM; ++i) {
          // memcpy, because A's elements are 16 bits wide and a cast pointer would break the
          // aliasing rule; it compiles to one broadcast.
          int32_t pair;
          std::memcpy(&pair, a + i * lda + 2 * p, sizeof(pair));
          __m512bh av = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
          acc[i][0] = _mm512_dpbf16_ps(acc[i][0], av, b0);
          acc[i][1] = _mm512_dpbf16_ps(acc[i][1], av, b1);
        }
      }
    }
    *fetcher = fetch;
    const int64_t ldc = product.ldc;
    if (product.mode == OutputMode::kBf16) {
      RoundRows<kM>(acc, static_cast<uint16_t*>(product.c) + first * ldc, ldc);
    } else {
      WriteRows<kM>(acc, static_cast<float*>(product.c) + first * ldc, ldc, product.mode,
                    product.streams);
    }
  }
};

template <int kM>
struct Fp32Block {
  static void Run(const PanelProduct<float>& product, int64_t first, Fetcher* fetcher) {
    const int64_t lda = product.lda, k = product.k;
    const float* a = product.a + first * lda;
    const float* b = product.panel;
    __m512 acc[kM][2];
    ClearRows<kM>(acc);
    Fetcher fetch = *fetcher;
    for (int64_t p = 0; p < k;) {
      fetch.FetchLine();
      for (const int64_t end = std::min(k, p + fetch.steps()); p < end; ++p) {
        __m512 b0 = _mm512_loadu_ps(b + p * 32), b1 = _mm512_loadu_ps(b + p * 32 + 16);
#pragma GCC unroll 12
        for (int i = 0; i < kM; ++i) {
          __m512 av = _mm512_set1_ps(a[i * lda + p]);
          acc[i][0] = _mm512_fmadd_ps(av, b0, acc[i][0]);
          acc[i][1] = _mm512_fmadd_ps(av, b1, acc[i][1]);
        }
      }
    }
    *fetcher = fetch;
    WriteRows<kM>(acc, static_cast<float*>(product.c) + first * product.ldc, product.ldc,
                  product.mode, product.streams);
  }
};

// The last rows, fewer than kM, by the block of that size.
template <template <int> class Block, int kM, typename T>
void LastRows(const PanelProduct<T>& product, int64_t first, Fetcher* fetcher) {
  if constexpr (kM > 1) {
    if (product.m - first == kM - 1) return Block<kM - 1>::Run(product, first, fetcher);
    LastRows<Block, kM - 1>(product, first, fetcher);
  }
}

// A row's arithmetic is the same in every block, so it does not matter which rows share one.
template <template <int> class Block, typename T>
void AllRows(const PanelProduct<T>& product) {
  Fetcher fetcher(product.next, product.panel, product.m);
  int64_t i = 0;
  for (; i + kRows <= product.m; i += kRows) Block<kRows>::Run(product, i, &fetcher);
  LastRows<Block, kRows>(product, i, &fetcher);
  if (product.streams) _mm_sfence();
}

}  // namespace

void PanelFp32Avx512(const PanelProduct<float>& product) { AllRows<Fp32Block>(product); }

void PanelBf16Avx512(const PanelProduct<uint16_t>& product) { AllRows<Bf16Block>(product); }

}  // namespace reckon
