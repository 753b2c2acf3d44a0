#include "common/model/kernels/torch/kv_pages.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/model/device_memory.h"
#include "common/model/kernels/interface.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Gathered key elements that are held at once.
constexpr int64_t kMaxGathered = int64_t{1} << 25;

// GatherAttention for few enough rows.
at::Tensor AttendRows(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const at::Tensor& pages_of, const at::Tensor& positions) {
  const int64_t rows = q.size(0), heads = q.size(1), dim = q.size(2), kv_heads = keys.size(1);
  const int64_t time = pages_of.size(1) * kPageTokens;
  const at::Tensor slots = (pages_of.to(at::kLong).unsqueeze(2) * kPageTokens +
                            at::arange(kPageTokens, pages_of.options().dtype(at::kLong)))
                               .flatten();
  const at::Tensor beyond =  // [rows, time]
      at::arange(time, positions.options()).unsqueeze(0) > positions.unsqueeze(1);
  auto gathered = [&](const at::Tensor& from) {  // [rows, kv_heads, time, dim] fp32
    return from.index_select(0, slots)
        .view({rows, time, kv_heads, dim})
        .transpose(1, 2)
        .to(at::kFloat);
  };
  const at::Tensor query = q.to(at::kFloat).view({rows, kv_heads, heads / kv_heads, dim});
  at::Tensor scores = at::matmul(query, gathered(keys).transpose(2, 3)) / std::sqrt(double(dim));
  scores.masked_fill_(beyond.view({rows, 1, 1, time}), -std::numeric_limits<float>::infinity());
  // Slots beyond a row's position may hold a NaN of an earlier sequence, which a weight of zero
  // would not cancel.
  at::Tensor v = gathered(values).masked_fill(beyond.view({rows, 1, time, 1}), 0);
  return at::matmul(scores.softmax(3), v).view({rows, heads, dim}).to(q.scalar_type());
}

}  // namespace

at::Tensor GatherAttention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const at::Tensor& pages_of, const at::Tensor& positions) {
  at::Tensor out = at::empty(q.sizes(), q.options());
  const int64_t per_row = pages_of.size(1) * kPageTokens * keys.size(1) * keys.size(2);
  // Every row gathers its own copy of the keys and values, also rows of one sequence. So the rows
  // are divided such that the copies of one part stay within kMaxGathered elements.
  const int64_t chunk = std::max<int64_t>(1, kMaxGathered / std::max<int64_t>(1, per_row));
  for (int64_t first = 0; first < q.size(0); first += chunk) {
    const int64_t count = std::min(chunk, q.size(0) - first);
    out.narrow(0, first, count)
        .copy_(AttendRows(q.narrow(0, first, count), keys, values, pages_of.narrow(0, first, count),
                          positions.narrow(0, first, count)));
  }
  return out;
}

TorchKvPages::TorchKvPages(const ModelConfig& config, Dtype dtype, int64_t layers, int64_t pages,
                           c10::Device device)
    : kv_heads_(config.num_kv_heads), dim_(config.head_dim) {
  keys_ = at::zeros({layers, pages * kPageTokens, kv_heads_, dim_},
                    at::TensorOptions(ScalarTypeOf(dtype)).device(device));
  values_ = at::zeros(keys_.sizes(), keys_.options());
}

void TorchKvPages::Copy(int64_t from, int64_t to) {
  for (at::Tensor* pool : {&keys_, &values_}) {
    pool->narrow(1, to * kPageTokens, kPageTokens)
        .copy_(pool->narrow(1, from * kPageTokens, kPageTokens));
  }
}

void TorchKvPages::LocateRows(const std::vector<KvRow>& rows) {
  const int64_t n = static_cast<int64_t>(rows.size());
  int64_t most = 0;
  for (const KvRow& row : rows) most = std::max(most, row.position / kPageTokens + 1);
  at::Tensor slots = at::empty({n}, at::kLong), positions = at::empty({n}, at::kInt);
  // Rows with fewer pages are filled up with page 0, whose positions are beyond the row's and
  // masked.
  at::Tensor pages_of = at::zeros({n, most}, at::kInt);
  for (int64_t i = 0; i < n; ++i) {
    const auto& [pages, position, copies] = rows[i];
    CHECK(copies == nullptr);
    const int64_t page = (*pages)[position / kPageTokens];
    slots.mutable_data_ptr<int64_t>()[i] = page * kPageTokens + position % kPageTokens;
    positions.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(position);
    std::copy_n(pages->begin(), position / kPageTokens + 1,
                pages_of.mutable_data_ptr<int32_t>() + i * most);
  }
  slots_ = SendToDevice(slots, keys_.device());
  pages_of_ = SendToDevice(pages_of, keys_.device());
  positions_ = SendToDevice(positions, keys_.device());
}

at::Tensor TorchKvPages::Attend(int64_t layer, const std::vector<KvRow>& rows,
                                const at::Tensor& qkv) {
  // The addresses are the same for all layers, so they are sent to the device once a pass.
  if (layer == 0) LocateRows(rows);
  const at::Tensor x = qkv.view({qkv.size(0), -1, dim_});
  const int64_t heads = x.size(1) - 2 * kv_heads_;
  const at::Tensor keys = keys_.select(0, layer), values = values_.select(0, layer);
  // Written before any row attends, because rows of one sequence in this pass attend to each other.
  keys.index_copy_(0, slots_, x.narrow(1, heads, kv_heads_));
  values.index_copy_(0, slots_, x.narrow(1, heads + kv_heads_, kv_heads_));
  const at::Tensor q = x.narrow(1, 0, heads);
  return GatherAttention(q, keys, values, pages_of_, positions_).flatten(1);
}

}  // namespace reckon
