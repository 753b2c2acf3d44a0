#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_SOFTMAX_H_

#include <cstdint>

namespace reckon {

// The parts of a softmax over n fp32 numbers. Every result depends on the numbers only: sums run in
// one fixed order, and exp is computed here, not by a library whose version could change the bits.
// Attention, SwiGLU, the sampler and the learner's log-probabilities all use these.

// out[i] = exp(scale * x[i] - shift), to a relative error below 2e-7; 0 below exp(-87).
// `out` may be `x`.
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
