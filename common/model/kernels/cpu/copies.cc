#include "common/model/kernels/cpu/copies.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "absl/functional/function_ref.h"
#include "common/base/thread_pool.h"

namespace reckon {
namespace {

// Calls body(first, count) for parts of [0, n).
void ForParts(int64_t n, absl::FunctionRef<void(int64_t first, int64_t count)> body) {
  constexpr int64_t kPart = 1 << 16;
  ParallelFor((n + kPart - 1) / kPart,
              [&](int64_t part) { body(part * kPart, std::min(kPart, n - part * kPart)); });
}

}  // namespace

at::Tensor Copied(const at::Tensor& x) {
  at::Tensor out = at::empty(x.sizes(), x.scalar_type());
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(out.mutable_data_ptr());
  ForParts(static_cast<int64_t>(x.nbytes()),
           [&](int64_t first, int64_t count) { std::memcpy(to + first, from + first, count); });
  return out;
}

at::Tensor Rounded(const at::Tensor& x, Dtype dtype) {
  if (dtype == Dtype::kFp32) return x;
  at::Tensor out = at::empty(x.sizes(), at::kBFloat16);
  const float* from = x.const_data_ptr<float>();
  auto* to = static_cast<uint16_t*>(out.mutable_data_ptr());
  ForParts(x.numel(),
           [&](int64_t first, int64_t count) { ToBf16(from + first, count, to + first); });
  return out;
}

}  // namespace reckon
