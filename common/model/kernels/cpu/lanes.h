#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_LANES_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_LANES_H_

#include <cstdint>
#include <cstring>

#include "common/model/kernels/dtype.h"

namespace reckon {

// 16 fp32 numbers that are computed at once: one AVX-512 register, two of AVX2, four of SSE. A type
// of the compiler, whose operators work on each number; in a function of several builds
// (RECKON_CLONES) they become the instructions of each. A loop over single numbers is slower where
// it takes the larger of two: the compiler makes branches of that, and computes both with masks.
//
// Functions of it must be inlined, because how a register is passed depends on the build.
constexpr int kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

namespace internal {
using LaneInts = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using LaneBits = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));
using HalfBits = uint16_t __attribute__((vector_size(kLanes * sizeof(uint16_t))));
}  // namespace internal

#define RECKON_LANES [[gnu::always_inline]] inline

// How many of n numbers fill whole lanes. A loop over these and one step for the rest is faster
// than a loop that asks in each step.
constexpr int64_t WholeLanes(int64_t n) { return n / kLanes * kLanes; }

RECKON_LANES Lanes AllLanes(float x) { return x - Lanes{}; }

// x[0 .. count-1], and `rest` or zeros in the other lanes; bf16 numbers are widened.
RECKON_LANES Lanes LoadLanes(const float* x, int64_t count = kLanes, const Lanes& rest = Lanes{}) {
  Lanes out = rest;
  std::memcpy(&out, x, count * sizeof(float));
  return out;
}
RECKON_LANES Lanes LoadLanes(const uint16_t* x, int64_t count = kLanes) {
  internal::HalfBits bits = {};
  std::memcpy(&bits, x, count * sizeof(uint16_t));
  // As FromBf16.
  return reinterpret_cast<Lanes>(__builtin_convertvector(bits, internal::LaneBits) << 16);
}

// out[0 .. count-1]; as bf16, rounded like ToBf16.
RECKON_LANES void StoreLanes(const Lanes& x, float* out, int64_t count = kLanes) {
  std::memcpy(out, &x, count * sizeof(float));
}
RECKON_LANES void StoreLanes(const Lanes& x, uint16_t* out, int64_t count = kLanes) {
  auto bits = reinterpret_cast<internal::LaneBits>(x);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const auto rounded = __builtin_convertvector(bits, internal::HalfBits);
  std::memcpy(out, &rounded, count * sizeof(uint16_t));
}

// Lanes i and i + 8 first, then i and i + 4, and so on. All builds add in this order, so the width
// of a register does not change the sum.
RECKON_LANES float SumLanes(const Lanes& x) {
  const auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                    __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

RECKON_LANES float MaxLanes(const Lanes& x) {
  const auto a = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7);
  const auto b = __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto eight = a > b ? a : b;
  const auto c = __builtin_shufflevector(eight, eight, 0, 1, 2, 3);
  const auto d = __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const auto four = c > d ? c : d;
  const float even = four[0] > four[2] ? four[0] : four[2];
  const float odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}

// exp, to a relative error of 2e-7 where the result is a normal number; 0 below exp(-88), and never
// more than 2^127. NaN stays NaN. Computed here, not by a library whose version could change the
// bits.
RECKON_LANES Lanes Exp(const Lanes& x) {
  const Lanes lowest = AllLanes(-127.0f), highest = AllLanes(127.0f);
  Lanes t = x * 1.44269504f;
  // Keeps the exponent bits below within 0, which are those of the number 0, and 254: a larger one
  // would be read as infinity, a smaller one as the sign bit.
  t = lowest > t ? lowest : t;
  t = highest < t ? highest : t;
  // Adding 1.5 * 2^23 rounds to the nearest integer without a function call.
  const Lanes rounded = (t + 12582912.0f) - 12582912.0f;
  const Lanes f = t - rounded;
  // 2^f on [-1/2, 1/2]: Taylor terms ln(2)^k / k!.
  Lanes p = AllLanes(1.54035304e-4f);
  p = p * f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  // 2^rounded, made from its exponent bits.
  const internal::LaneInts exponent = __builtin_convertvector(rounded, internal::LaneInts) + 127;
  return p * reinterpret_cast<Lanes>(exponent << 23);
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_LANES_H_
