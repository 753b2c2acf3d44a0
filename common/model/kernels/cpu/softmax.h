#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_

#include <cstdint>

namespace reckon {

// The parts of a softmax over n fp32 numbers. Every result depends on the numbers only: sums run in
// one fixed order, and exp is that of lanes.h. Attention, the sampler and the learner's
// log-probabilities all use these.

// out[i] = Exp(scale * x[i] - shift). `out` may be `x`.
void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out);

// The sum in 16 interleaved lanes, then a tree over the lanes.
float SumFixed(const float* x, int64_t n);

// ExpShifted, and SumFixed of `out`, in one loop.
float ExpSum(const float* x, int64_t n, float scale, float shift, float* out);

float MaxOf(const float* x, int64_t n);

// Returns log(sum_i exp(scale * logits[i])), and *max = scale * max_i logits[i],
// *sum = sum_i exp(scale * logits[i] - *max). Leaves the terms of that sum in `scratch` [n].
// Sampler and learner share this definition, so their log-probabilities have the same bits.
float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_
