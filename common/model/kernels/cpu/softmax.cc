#include "common/model/kernels/cpu/softmax.h"

#include <cmath>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/lanes.h"

namespace reckon {

namespace {

RECKON_LANES void ExpLanes(const float* x, int64_t count, float scale, float shift, float* out) {
  StoreLanes(Exp(scale * LoadLanes(x, count) - shift), out, count);
}

}  // namespace

RECKON_CLONES void ExpShifted(const float* x, int64_t n, float scale, float shift, float* out) {
  const int64_t whole = WholeLanes(n);
  for (int64_t i = 0; i < whole; i += kLanes) ExpLanes(x + i, kLanes, scale, shift, out + i);
  if (whole < n) ExpLanes(x + whole, n - whole, scale, shift, out + whole);
}

RECKON_CLONES float SumFixed(const float* x, int64_t n) {
  Lanes sum = {};
  const int64_t whole = WholeLanes(n);
  for (int64_t i = 0; i < whole; i += kLanes) sum += LoadLanes(x + i);
  if (whole < n) sum += LoadLanes(x + whole, n - whole);
  return SumLanes(sum);
}

RECKON_CLONES float ExpSum(const float* x, int64_t n, float scale, float shift, float* out) {
  Lanes sum = {};
  const int64_t whole = WholeLanes(n);
  for (int64_t i = 0; i < whole; i += kLanes) {
    ExpLanes(x + i, kLanes, scale, shift, out + i);
    sum += LoadLanes(out + i);
  }
  if (whole < n) {
    ExpLanes(x + whole, n - whole, scale, shift, out + whole);
    sum += LoadLanes(out + whole, n - whole);
  }
  return SumLanes(sum);
}

RECKON_CLONES float MaxOf(const float* x, int64_t n) {
  const Lanes lowest = AllLanes(-INFINITY);
  const int64_t whole = WholeLanes(n);
  Lanes max = lowest;
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Lanes of = LoadLanes(x + i);
    max = max > of ? max : of;
  }
  if (whole < n) {
    const Lanes of = LoadLanes(x + whole, n - whole, lowest);
    max = max > of ? max : of;
  }
  return MaxLanes(max);
}

float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch) {
  // The largest exponent becomes 0, so no term overflows and not all of them underflow.
  *max = scale * MaxOf(logits, n);
  *sum = ExpSum(logits, n, scale, *max, scratch);
  return *max + std::log(*sum);
}

}  // namespace reckon
