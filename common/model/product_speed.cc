#include "common/model/product_speed.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/model/kernels/cpu/gemm.h"

namespace reckon {
namespace {

template <typename T>
double SpeedOf(Dtype dtype, int64_t rows, int64_t k, int64_t n) {
  const std::vector<T> a(rows * k), w(k * n);
  std::vector<T> c(rows * n);
  PackedMatrix b;
  b.Reset(dtype, k, n);
  b.PackRows(w.data(), k, 0, n);
  const OutputMode mode = dtype == Dtype::kBf16 ? OutputMode::kBf16 : OutputMode::kFp32;
  double best = 0;
  for (const absl::Time end = absl::Now() + absl::Milliseconds(500); absl::Now() < end;) {
    const absl::Time begin = absl::Now();
    Gemm(a.data(), rows, k, b, c.data(), n, mode);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    best = std::max(best, 2.0 * static_cast<double>(rows * k * n) / seconds);
  }
  return best;
}

}  // namespace

double ProductSpeed(Dtype dtype, int64_t rows, int64_t k, int64_t n) {
  return dtype == Dtype::kBf16 ? SpeedOf<uint16_t>(dtype, rows, k, n)
                               : SpeedOf<float>(dtype, rows, k, n);
}

int64_t LayerProducts(const ModelConfig& config) {
  int64_t out = 0;
  for (const TensorEntry& tensor : config.Tensors()) {
    if (absl::StrContains(tensor.name(), "_proj.weight")) out += tensor.shape(0) * tensor.shape(1);
  }
  return out;
}

int64_t HeadProducts(const ModelConfig& config) { return config.num_tokens() * config.hidden_size; }

}  // namespace reckon
