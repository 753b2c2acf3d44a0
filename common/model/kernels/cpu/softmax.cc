#include "common/model/kernels/cpu/softmax.h"

#include <cmath>
#include <cstring>

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

RECKON_CLONES void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out) {
  constexpr float kLog2E = 1.44269504f;
  for (int64_t i = 0; i < n; ++i) {
    float t = (scale * x[i] - shift) * kLog2E;
    // Keeps the exponent bits below within 2 .. 254: a larger one would be read as infinity, a
    // smaller one as a denormal or as the sign bit.
    float clamped = t < -125.0f ? -125.0f : t;
    clamped = clamped > 127.0f ? 127.0f : clamped;
    // Adding 1.5 * 2^23 rounds to the nearest integer without a function call.
    float rounded = (clamped + 12582912.0f) - 12582912.0f;
    float f = clamped - rounded;
    // 2^f on [-1/2, 1/2]: Taylor terms ln(2)^k / k!.
    float p = 1.54035304e-4f;
    p = p * f + 1.33335581e-3f;
    p = p * f + 9.61812911e-3f;
    p = p * f + 5.55041087e-2f;
    p = p * f + 2.40226507e-1f;
    p = p * f + 6.93147181e-1f;
    p = p * f + 1.0f;
    // 2^rounded, made from its exponent bits.
    int32_t bits = (static_cast<int32_t>(rounded) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    out[i] = t < -125.0f ? 0.0f : p * power;
  }
}

RECKON_CLONES float SumFixed(const float* x, int64_t n) {
  // 16 lanes are one AVX-512 register or two of AVX2. All builds of this function add in the same
  // order, so a register's width does not change the sum.
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; ++j) lanes[j] += x[i + j];
  }
  // Element i is added to lane i % 16 here too.
  for (int j = 0; i < n; ++i, ++j) lanes[j] += x[i];
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

RECKON_CLONES float MaxOf(const float* x, int64_t n) {
  float lanes[16];
  for (float& lane : lanes) lane = -INFINITY;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; ++j) lanes[j] = lanes[j] > x[i + j] ? lanes[j] : x[i + j];
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] = lanes[j] > x[i] ? lanes[j] : x[i];
  float max = lanes[0];
  for (float lane : lanes) max = max > lane ? max : lane;
  return max;
}

float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch) {
  // The largest exponent becomes 0, so no term overflows and not all of them underflow.
  *max = scale * MaxOf(logits, n);
  ExpShifted(logits, n, scale, *max, scratch);
  *sum = SumFixed(scratch, n);
  return *max + std::log(*sum);
}

}  // namespace reckon
