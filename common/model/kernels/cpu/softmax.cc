#include "common/model/kernels/cpu/softmax.h"

#include <cmath>

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

RECKON_CLONES void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = Exp(scale * x[i] - shift);
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
