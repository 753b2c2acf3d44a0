#include "common/model/kernels/torch/row_tiles.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/model/kernels/interface.h"

namespace reckon {
namespace {

std::atomic<int64_t> row_tile = 0;

// Of the strides of `like`, as the library may look at them as well.
at::Tensor ZeroTile(int64_t rows, const at::Tensor& like) {
  return at::empty_strided({rows, like.size(1)}, like.strides(), like.options()).zero_();
}

}  // namespace

int64_t RowTile() { return row_tile; }
void SetRowTile(int64_t rows) { row_tile = rows; }

int64_t WithWholeTiles(int64_t rows) {
  const int64_t tile = RowTile();
  return tile == 0 ? rows : (rows + tile - 1) / tile * tile;
}

void ForRowTiles(const at::Tensor& a, const at::Tensor& out, bool adds,
                 absl::FunctionRef<void(const at::Tensor& a, at::Tensor out)> product) {
  const int64_t tile = RowTile(), rows = a.size(0);
  if (tile == 0) return product(a, out);
  for (int64_t first = 0; first < rows; first += tile) {
    const int64_t count = std::min(tile, rows - first);
    const at::Tensor x = a.narrow(0, first, count), y = out.narrow(0, first, count);
    if (count == tile) {
      product(x, y);
      continue;
    }
    const at::Tensor full_x = ZeroTile(tile, a), full_y = ZeroTile(tile, out);
    full_x.narrow(0, 0, count).copy_(x);
    if (adds) full_y.narrow(0, 0, count).copy_(y);
    product(full_x, full_y);
    y.copy_(full_y.narrow(0, 0, count));
  }
}

at::Tensor FillTiles(const at::Tensor& x) {
  const int64_t rows = WithWholeTiles(x.size(0));
  if (rows == x.size(0)) return x;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] = rows;
  at::Tensor out = at::zeros(sizes, x.options());
  out.narrow(0, 0, x.size(0)).copy_(x);
  return out;
}

absl::Status CheckRowsAlike(const ModelConfig& config, Dtype dtype, Backend backend,
                            RowProduct product) {
  const int64_t attention = config.num_heads * config.head_dim;
  const int64_t qkv = attention + 2 * config.num_kv_heads * config.head_dim;
  const std::set<std::pair<int64_t, int64_t>> shapes = {
      {qkv, config.hidden_size},
      {config.hidden_size, attention},
      {2 * config.intermediate_size, config.hidden_size},
      {config.hidden_size, config.intermediate_size},
      {config.num_tokens(), config.hidden_size}};
  const at::TensorOptions fp32 = at::TensorOptions(at::kFloat).device(DeviceOf(backend));
  // Numbers without a pattern that sums in another order would keep.
  const auto wave = [&](int64_t count, double step) {
    return at::arange(count, fp32).mul_(step).sin_();
  };
  for (const auto& [n, k] : shapes) {
    const at::Tensor row = wave(k, 0.7), column = wave(n, 1.3);
    const at::Tensor weight =
        (column.unsqueeze(1) * wave(k, 0.19)).add_(row).to(ScalarTypeOf(dtype));
    const at::Tensor x = wave(k, 2.9).to(ScalarTypeOf(dtype)).expand({RowTile(), k}).contiguous();
    const at::Tensor y = product(x, weight);
    if (y.equal(y.narrow(0, 0, 1).expand_as(y))) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("model.row_invariant: this device computes equal rows of a product of ",
                     RowTile(), " x ", k, " and ", k, " x ", n, " differently; set it to false"));
  }
  return absl::OkStatus();
}

}  // namespace reckon
