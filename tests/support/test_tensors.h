#ifndef RECKON_TESTS_SUPPORT_TEST_TENSORS_H_
#define RECKON_TESTS_SUPPORT_TEST_TENSORS_H_

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/base/rng.h"

namespace reckon {

// int32 tensors [n] for the tokens and positions of a forward pass.
inline at::Tensor Ints(const std::vector<int32_t>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int32_t>());
  return out;
}

inline std::vector<int32_t> Positions(int64_t first, int64_t n) {
  std::vector<int32_t> out(n);
  std::iota(out.begin(), out.end(), static_cast<int32_t>(first));
  return out;
}

// n random numbers in 0 .. below-1.
inline at::Tensor RandomInts(int64_t n, int64_t below, uint64_t key) {
  const CounterRng rng(key);
  at::Tensor out = at::empty({n}, at::kInt);
  for (int64_t i = 0; i < n; ++i) {
    out.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(rng.Below(below, i));
  }
  return out;
}

// fp32 numbers in -0.5 .. 0.5.
inline at::Tensor RandomFloats(at::IntArrayRef sizes, uint64_t key) {
  const CounterRng rng(key);
  at::Tensor out = at::empty(sizes, at::kFloat);
  for (int64_t i = 0; i < out.numel(); ++i) {
    out.mutable_data_ptr<float>()[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  }
  return out;
}

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_TEST_TENSORS_H_
