#include "common/model/product_speed.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/interface.h"

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

// Of `run`, which ends when the device has done what it was given.
double LeastSeconds(c10::Device device, absl::FunctionRef<void()> run) {
  double least = 0;
  for (const absl::Time end = absl::Now() + absl::Milliseconds(500); absl::Now() < end;) {
    const absl::Time begin = absl::Now();
    run();
    if (device.is_cuda()) {
      c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    least = least == 0 ? seconds : std::min(least, seconds);
  }
  return least;
}

}  // namespace

DeviceSpeed MeasureDevice(Backend backend, Dtype dtype) {
  constexpr int64_t kBytes = int64_t{1} << 28, kSide = 4096;
  const c10::Device device = DeviceOf(backend);
  const at::TensorOptions bytes = at::TensorOptions(at::kByte).device(device);
  const at::Tensor from = at::zeros({kBytes}, bytes);
  at::Tensor to = at::zeros({kBytes}, bytes);
  DeviceSpeed speed;
  speed.bytes = 2.0 * kBytes / LeastSeconds(device, [&] { to.copy_(from); });
  if (backend == Backend::kCpuKernels) {
    speed.operations = ProductSpeed(dtype, 256, 1024, kSide);
    return speed;
  }
  const at::Tensor a = at::zeros({kSide, kSide}, bytes.dtype(ScalarTypeOf(dtype)));
  at::Tensor c = at::empty(a.sizes(), a.options());
  speed.operations =
      2.0 * kSide * kSide * kSide / LeastSeconds(device, [&] { at::mm_out(c, a, a); });
  return speed;
}

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
