// Compiled with AVX512-BF16; called only where the CPU has it.

#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "common/model/ops/attention.h"
#include "common/model/ops/softmax.h"

namespace reckon {
namespace {

__m512bh Pair(const uint16_t* at) {
  int32_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

__m512bh Load(const uint16_t* at) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(at)); }

// kHeads query heads against the pages: scores, then softmax, then the weighted values.
template <int kHeads>
void Attend(const KvShape& shape, const uint16_t* q, const char* const* pages, int64_t keys,
            float* scratch, uint16_t* out) {
  const int64_t dim = shape.head_dim, padded = (keys + kPageTokens - 1) / kPageTokens * kPageTokens;
  const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(static_cast<float>(dim)));
  for (int64_t first = 0; first < keys; first += 32) {
    const auto* k =
        reinterpret_cast<const uint16_t*>(pages[first / kPageTokens]) + first % kPageTokens * 2;
    __m512 acc[kHeads][2];
    for (auto& pair : acc) pair[0] = pair[1] = _mm512_setzero_ps();
    for (int64_t d = 0; d < dim / 2; ++d) {
      __m512bh k0 = Load(k + d * kPageTokens * 2), k1 = Load(k + d * kPageTokens * 2 + 32);
      for (int h = 0; h < kHeads; ++h) {
        __m512bh x = Pair(q + h * dim + 2 * d);
        acc[h][0] = _mm512_dpbf16_ps(acc[h][0], x, k0);
        acc[h][1] = _mm512_dpbf16_ps(acc[h][1], x, k1);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      _mm512_storeu_ps(scratch + h * padded + first, _mm512_mul_ps(acc[h][0], scale));
      _mm512_storeu_ps(scratch + h * padded + first + 16, _mm512_mul_ps(acc[h][1], scale));
    }
  }
  float total[kHeads];
  for (int h = 0; h < kHeads; ++h) {
    float* p = scratch + h * padded;
    ExpShifted(p, keys, 1.0f, MaxOf(p, keys), p);
    total[h] = SumFixed(p, keys);
    if (keys % 2 != 0) p[keys] = 0;
  }
  for (int64_t block = 0; block < dim; block += 32) {
    const int parts = dim - block >= 32 ? 2 : 1;
    __m512 acc[kHeads][2];
    for (auto& pair : acc) pair[0] = pair[1] = _mm512_setzero_ps();
    for (int64_t t = 0; t < keys; t += 2) {
      const auto* v =
          reinterpret_cast<const uint16_t*>(pages[t / kPageTokens] + shape.value_offset()) +
          (t % kPageTokens / 2 * dim + block) * 2;
      __m512bh v0 = Load(v), v1 = Load(parts == 2 ? v + 32 : v);
      for (int h = 0; h < kHeads; ++h) {
        // Both probabilities of the pair rounded to bf16, broadcast to every lane.
        __m128 two =
            _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(scratch + h * padded + t)));
        int32_t bits = _mm_cvtsi128_si32(reinterpret_cast<__m128i>(_mm_cvtneps_pbh(two)));
        __m512bh p = reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits));
        acc[h][0] = _mm512_dpbf16_ps(acc[h][0], p, v0);
        acc[h][1] = _mm512_dpbf16_ps(acc[h][1], p, v1);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      __m512 divisor = _mm512_set1_ps(total[h]);
      for (int part = 0; part < parts; ++part) {
        __m256bh row = _mm512_cvtneps_pbh(_mm512_div_ps(acc[h][part], divisor));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + h * dim + block + 16 * part),
                            reinterpret_cast<__m256i>(row));
      }
    }
  }
}

}  // namespace

void AttendRowAvx512(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                     int64_t keys, float* scratch, void* out) {
  const auto* from = static_cast<const uint16_t*>(q);
  auto* to = static_cast<uint16_t*>(out);
  for (int64_t h = 0; h < heads;) {
    int64_t left = heads - h;
    const uint16_t* qh = from + h * shape.head_dim;
    uint16_t* oh = to + h * shape.head_dim;
    // A head's arithmetic is the same whichever heads it is grouped with.
    if (left >= 4) {
      Attend<4>(shape, qh, pages, keys, scratch, oh);
      h += 4;
    } else if (left == 3) {
      Attend<3>(shape, qh, pages, keys, scratch, oh);
      h += 3;
    } else if (left == 2) {
      Attend<2>(shape, qh, pages, keys, scratch, oh);
      h += 2;
    } else {
      Attend<1>(shape, qh, pages, keys, scratch, oh);
      h += 1;
    }
  }
}

}  // namespace reckon
