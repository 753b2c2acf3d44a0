#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_

#include <bit>
#include <cstdint>

namespace reckon {

// The parts of a softmax over n fp32 numbers. Every result depends on the numbers only: sums run in
// one fixed order, and exp is computed here, not by a library whose version could change the bits.
// Attention, SwiGLU, the sampler and the learner's log-probabilities all use these.

// To a relative error below 2e-7; 0 below exp(-87), and never more than 2^127. Without a branch or
// a call, so that a loop over it uses whole registers.
inline float Exp(float x) {
  const float t = x * 1.44269504f;
  // Keeps the exponent bits below within 2 .. 254: a larger one would be read as infinity, a
  // smaller one as a denormal or as the sign bit.
  float clamped = t < -125.0f ? -125.0f : t;
  clamped = clamped > 127.0f ? 127.0f : clamped;
  // Adding 1.5 * 2^23 rounds to the nearest integer without a function call.
  const float rounded = (clamped + 12582912.0f) - 12582912.0f;
  const float f = clamped - rounded;
  // 2^f on [-1/2, 1/2]: Taylor terms ln(2)^k / k!.
  float p = 1.54035304e-4f;
  p = p * f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  // 2^rounded, made from its exponent bits.
  const float power = std::bit_cast<float>((static_cast<int32_t>(rounded) + 127) << 23);
  return t < -125.0f ? 0.0f : p * power;
}

// out[i] = Exp(scale * x[i] - shift). `out` may be `x`.
void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out);

// The sum in 16 interleaved lanes, then a tree over the lanes.
float SumFixed(const float* x, int64_t n);

float MaxOf(const float* x, int64_t n);

// Returns log(sum_i exp(scale * logits[i])), and *max = scale * max_i logits[i],
// *sum = sum_i exp(scale * logits[i] - *max). Leaves the terms of that sum in `scratch` [n].
// Sampler and learner share this definition, so their log-probabilities have the same bits.
float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_
