// Compiled for AVX512-BF16.
#include "common/model/kernels/cpu/attention_avx512.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

// The pair of numbers at `at` in every lane.
__m512bh Pair(const uint16_t* at) {
  int32_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

__m512bh Load(const uint16_t* at) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(at)); }

constexpr int64_t kLanes = 16;
constexpr int64_t kLanesOfPage = kPageTokens / kLanes;

// Begins to bring the cache line at `at` into the second-level cache.
void Fetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T1); }

// The scores of the first 16*kParts positions of a page. The same lines of `next` are fetched, one
// for each that is read, because a burst of them would wait for the memory as long as reading does.
//
// Here and below the loops over `acc` are unrolled by pragma: the compiler then keeps the sums in
// registers, and would otherwise store them in every turn.
template <int kHeads, int kParts>
void Scores(int64_t dim, const uint16_t* q, const uint16_t* k, const uint16_t* next, float* scratch,
            int64_t padded) {
  __m512 acc[kHeads][kParts];
#pragma GCC unroll 4
  for (auto& row : acc) {
#pragma GCC unroll 4
    for (__m512& part : row) part = _mm512_setzero_ps();
  }
  for (int64_t d = 0; d < dim / 2; ++d) {
    __m512bh keys_of[kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      keys_of[i] = Load(k + d * kPageTokens * 2 + 32 * i);
      Fetch(next + d * kPageTokens * 2 + 32 * i);
    }
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
      __m512bh x = Pair(q + h * dim + 2 * d);
#pragma GCC unroll 4
      for (int i = 0; i < kParts; ++i) acc[h][i] = _mm512_dpbf16_ps(acc[h][i], x, keys_of[i]);
    }
  }
  const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(static_cast<float>(dim)));
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      _mm512_storeu_ps(scratch + h * padded + 16 * i, _mm512_mul_ps(acc[h][i], scale));
    }
  }
}

// Columns block .. block+16*kParts-1 of the result: the values weighted by the probabilities in
// `scratch`, two positions at a time, over `total`. Fetches the same lines of `next`.
template <int kHeads, int kParts>
void WeightedValues(const KvShape& shape, const char* const* pages, const char* const* next,
                    int64_t keys, int64_t padded, int64_t block, const float* scratch,
                    const float* total, uint16_t* out) {
  const int64_t dim = shape.head_dim;
  __m512 acc[kHeads][kParts];
#pragma GCC unroll 4
  for (auto& row : acc) {
#pragma GCC unroll 4
    for (__m512& part : row) part = _mm512_setzero_ps();
  }
  for (int64_t t = 0; t < keys; t += 2) {
    const int64_t at = shape.value_offset() + (t % kPageTokens / 2 * dim + block) * 4;
    const auto* v = reinterpret_cast<const uint16_t*>(pages[t / kPageTokens] + at);
    // After an odd last position, the page may hold numbers of an earlier sequence. They are
    // masked, because a probability of zero would not cancel a NaN.
    const __mmask32 present = t + 1 < keys ? 0xffffffffu : 0x55555555u;
    __m512bh values[kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      values[i] = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(present, v + 32 * i));
      Fetch(next[t / kPageTokens] + at + 64 * i);
    }
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
      __m512bh p = Pair(reinterpret_cast<const uint16_t*>(scratch + h * padded) + t);
#pragma GCC unroll 4
      for (int i = 0; i < kParts; ++i) {
        acc[h][i] = _mm512_dpbf16_ps(acc[h][i], p, values[i]);
      }
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
    const __m512 divisor = _mm512_set1_ps(total[h]);
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      __m256bh row = _mm512_cvtneps_pbh(_mm512_div_ps(acc[h][i], divisor));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + h * dim + block + 16 * i),
                          reinterpret_cast<__m256i>(row));
    }
  }
}

// kHeads query heads at a time: scores, then softmax, then the weighted values. A head's arithmetic
// is the same whichever heads it is grouped with.
template <int kHeads>
void Attend(const KvShape& shape, const uint16_t* q, const char* const* pages, int64_t keys,
            const char* const* next, float* scratch, uint16_t* out) {
  const int64_t dim = shape.head_dim, padded = (keys + kPageTokens - 1) / kPageTokens * kPageTokens;
  for (int64_t first = 0; first < keys; first += kPageTokens) {
    // Of the last page, no more lanes than have keys.
    const int64_t parts = std::min<int64_t>((keys - first + kLanes - 1) / kLanes, kLanesOfPage);
    auto* const scores = parts == 1   ? Scores<kHeads, 1>
                         : parts == 2 ? Scores<kHeads, 2>
                         : parts == 3 ? Scores<kHeads, 3>
                                      : Scores<kHeads, 4>;
    scores(dim, q, reinterpret_cast<const uint16_t*>(pages[first / kPageTokens]),
           reinterpret_cast<const uint16_t*>(next[first / kPageTokens]), scratch + first, padded);
  }
  // The sum is over the probabilities before they are rounded, and divides at the end, as in the
  // portable kernel.
  float total[kHeads];
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
    float* p = scratch + h * padded;
    total[h] = ExpSum(p, keys, 1.0f, MaxOf(p, keys), p);
    // The loop below rounds 16 at a time, up to 15 of them beyond the last key, and WeightedValues
    // reads an even number.
    std::fill(p + keys, p + padded, 0.0f);
    // Rounded to bf16 in place: the 16 numbers written end before the 16 read next.
    auto* rounded = reinterpret_cast<uint16_t*>(p);
    for (int64_t t = 0; t < keys; t += 16) {
      __m256bh row = _mm512_cvtneps_pbh(_mm512_loadu_ps(p + t));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(rounded + t), reinterpret_cast<__m256i>(row));
    }
  }
  int64_t block = 0;
  for (; block + 64 <= dim; block += 64) {
    WeightedValues<kHeads, 4>(shape, pages, next, keys, padded, block, scratch, total, out);
  }
  for (; block < dim; block += 16) {
    WeightedValues<kHeads, 1>(shape, pages, next, keys, padded, block, scratch, total, out);
  }
}

}  // namespace

void AttendRowAvx512(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                     int64_t keys, const char* const* next, float* scratch, void* out) {
  const auto* from = static_cast<const uint16_t*>(q);
  auto* to = static_cast<uint16_t*>(out);
  for (int64_t h = 0; h < heads;) {
    const uint16_t* qh = from + h * shape.head_dim;
    uint16_t* oh = to + h * shape.head_dim;
    // Four heads share each load of a key or value: 4 x 4 sums, 4 keys and a pair of q are 21 of
    // the 32 registers.
    const int64_t group = std::min<int64_t>(heads - h, 4);
    switch (group) {
      case 4:
        Attend<4>(shape, qh, pages, keys, next, scratch, oh);
        break;
      case 3:
        Attend<3>(shape, qh, pages, keys, next, scratch, oh);
        break;
      case 2:
        Attend<2>(shape, qh, pages, keys, next, scratch, oh);
        break;
      default:
        Attend<1>(shape, qh, pages, keys, next, scratch, oh);
    }
    h += group;
  }
}

}  // namespace reckon
