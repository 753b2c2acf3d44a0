#ifndef RECKON_COMMON_MODEL_OPS_SOFTMAX_H_
#define RECKON_COMMON_MODEL_OPS_SOFTMAX_H_

#include <cstdint>

namespace reckon {

// out[i] = exp(scale * x[i] - shift); relative error below 2e-7; 0 below exp(-87). In place
// allowed.
void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out);

// Sum in one fixed order: 16 interleaved lanes, then a tree over them.
float SumFixed(const float* x, int64_t n);

float MaxOf(const float* x, int64_t n);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_SOFTMAX_H_
