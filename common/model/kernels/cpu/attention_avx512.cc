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

// Columns block .. block+16*kParts-1 of the result: the values weighted by the probabilities in
// `scratch`, two positions at a time, over `total`.
template <int kHeads, int kParts>
void WeightedValues(const KvShape& shape, const char* const* pages, int64_t keys, int64_t padded,
                    int64_t block, const float* scratch, const float* total, uint16_t* out) {
  const int64_t dim = shape.head_dim;
  __m512 acc[kHeads][kParts];
  for (auto& row : acc) {
    for (__m512& part : row) part = _mm512_setzero_ps();
  }
  for (int64_t t = 0; t < keys; t += 2) {
    const auto* v =
        reinterpret_cast<const uint16_t*>(pages[t / kPageTokens] + shape.value_offset()) +
        (t % kPageTokens / 2 * dim + block) * 2;
    // After an odd last position, the page may hold numbers of an earlier sequence. They are
    // masked, because a probability of zero would not cancel a NaN.
    const __mmask32 present = t + 1 < keys ? 0xffffffffu : 0x55555555u;
    __m512bh values[kParts];
    for (int i = 0; i < kParts; ++i) {
      values[i] = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(present, v + 32 * i));
    }
    for (int h = 0; h < kHeads; ++h) {
      __m512bh p = Pair(reinterpret_cast<const uint16_t*>(scratch + h * padded) + t);
      for (int i = 0; i < kParts; ++i) {
        acc[h][i] = _mm512_dpbf16_ps(acc[h][i], p, values[i]);
      }
    }
  }
  for (int h = 0; h < kHeads; ++h) {
    const __m512 divisor = _mm512_set1_ps(total[h]);
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
            float* scratch, uint16_t* out) {
  const int64_t dim = shape.head_dim, padded = (keys + kPageTokens - 1) / kPageTokens * kPageTokens;
  const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(static_cast<float>(dim)));
  for (int64_t first = 0; first < keys; first += kPageTokens) {
    const auto* k = reinterpret_cast<const uint16_t*>(pages[first / kPageTokens]);
    __m512 acc[kHeads][4];
    for (auto& row : acc) {
      for (__m512& part : row) part = _mm512_setzero_ps();
    }
    for (int64_t d = 0; d < dim / 2; ++d) {
      __m512bh keys_of[4];
      for (int i = 0; i < 4; ++i) keys_of[i] = Load(k + d * kPageTokens * 2 + 32 * i);
      for (int h = 0; h < kHeads; ++h) {
        __m512bh x = Pair(q + h * dim + 2 * d);
        for (int i = 0; i < 4; ++i) acc[h][i] = _mm512_dpbf16_ps(acc[h][i], x, keys_of[i]);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      for (int i = 0; i < 4; ++i) {
        _mm512_storeu_ps(scratch + h * padded + first + 16 * i, _mm512_mul_ps(acc[h][i], scale));
      }
    }
  }
  // The sum is over the probabilities before they are rounded, and divides at the end, as in the
  // portable kernel.
  float total[kHeads];
  for (int h = 0; h < kHeads; ++h) {
    float* p = scratch + h * padded;
    ExpShifted(p, keys, 1.0f, MaxOf(p, keys), p);
    total[h] = SumFixed(p, keys);
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
    WeightedValues<kHeads, 4>(shape, pages, keys, padded, block, scratch, total, out);
  }
  for (; block < dim; block += 16) {
    WeightedValues<kHeads, 1>(shape, pages, keys, padded, block, scratch, total, out);
  }
}

}  // namespace

void AttendRowAvx512(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                     int64_t keys, float* scratch, void* out) {
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
        Attend<4>(shape, qh, pages, keys, scratch, oh);
        break;
      case 3:
        Attend<3>(shape, qh, pages, keys, scratch, oh);
        break;
      case 2:
        Attend<2>(shape, qh, pages, keys, scratch, oh);
        break;
      default:
        Attend<1>(shape, qh, pages, keys, scratch, oh);
    }
    h += group;
  }
}

}  // namespace reckon
