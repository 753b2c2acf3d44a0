#include "common/model/ops/backward.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/model/ops/adapter.h"
#include "common/model/ops/operands.h"
#include "common/model/ops/rows.h"
#include "common/model/ops/softmax.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

// Forward: rows whose logits are held at once (fp32 logits of a 49,152-word vocabulary: 25 MB).
constexpr int64_t kHeadRows = 128;
// Backward: columns of the vocabulary, of all rows, so that they stay in the caches.
constexpr int64_t kHeadColumns = 1024;

// weight.parts' gradients += dy^T x.
void AddWeightGrad(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy) {
  const at::Tensor left = Transposed(dy);
  const PackedMatrix right = PackedRows(x);
  int64_t first = 0;
  for (const at::Tensor& part : weight.parts) {
    at::Tensor grad = GradOf(part);
    Gemm(RowOf(left, first), part.size(0), left.size(1), right, grad.mutable_data_ptr(),
         grad.size(1), Store::kAddFp32);
    first += part.size(0);
  }
}

at::Tensor InputGrad(const LinearWeight& weight, const at::Tensor& dy) {
  at::Tensor dx = at::empty({dy.size(0), weight.backward.n()}, dy.scalar_type());
  Gemm(dy.const_data_ptr(), dy.size(0), dy.size(1), weight.backward, dx.mutable_data_ptr(),
       dx.size(1), ElementOf(dy) == Element::kBf16 ? Store::kBf16 : Store::kFp32);
  return dx;
}

}  // namespace

at::Tensor GradOf(const at::Tensor& leaf) {
  if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros(leaf.sizes(), at::kFloat);
  return leaf.grad();
}

void AddRows(const at::Tensor& d, const at::Tensor& tokens, const at::Tensor& grad) {
  const int32_t* ids = tokens.const_data_ptr<int32_t>();
  const float* from = d.const_data_ptr<float>();
  float* to = grad.mutable_data_ptr<float>();
  int64_t n = d.size(1);
  for (int64_t i = 0; i < d.size(0); ++i) {
    for (int64_t j = 0; j < n; ++j) to[ids[i] * n + j] += from[i * n + j];
  }
}

at::Tensor RmsNormBackward(const at::Tensor& x, const TableWeight& weight, double eps,
                           const at::Tensor& dy) {
  at::Tensor dx = at::empty(x.sizes(), at::kFloat);
  float* dweight = weight.leaf.defined() ? GradOf(weight.leaf).mutable_data_ptr<float>() : nullptr;
  RmsNormRowsBackward(x.const_data_ptr<float>(), weight.values.const_data_ptr<float>(),
                      dy.const_data_ptr(), x.size(0), x.size(1), static_cast<float>(eps),
                      ElementOf(dy), dx.mutable_data_ptr<float>(), dweight);
  return dx;
}

at::Tensor LinearBackward(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy) {
  if (weight.trainable()) AddWeightGrad(x, weight, dy);
  if (!weight.adapters.empty()) AddAdapterGrads(x, weight.adapters, dy);
  int64_t first = 0;
  for (const at::Tensor& part : weight.bias_parts) {
    AddColumnSums(static_cast<const char*>(dy.const_data_ptr()) + first * dy.element_size(),
                  dy.size(0), part.size(0), dy.size(1), ElementOf(dy),
                  GradOf(part).mutable_data_ptr<float>());
    first += part.size(0);
  }
  return InputGrad(weight, dy);
}

at::Tensor SwiGluBackward(const at::Tensor& gate_up, const at::Tensor& d) {
  at::Tensor out = at::empty(gate_up.sizes(), gate_up.scalar_type());
  SwiGluRowsBackward(gate_up.const_data_ptr(), d.const_data_ptr(), gate_up.size(0),
                     gate_up.size(1) / 2, ElementOf(gate_up), out.mutable_data_ptr());
  return out;
}

at::Tensor HeadForward(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double scale, const at::Tensor& lse) {
  const int64_t rows = hidden.size(0), vocab = head.forward.n();
  at::Tensor out = at::empty({rows}, at::kFloat);
  at::Tensor logits = at::empty({std::min(rows, kHeadRows), vocab}, at::kFloat);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  float* to = out.mutable_data_ptr<float>();
  float* lses = lse.mutable_data_ptr<float>();
  const float s = static_cast<float>(scale);
  for (int64_t first = 0; first < rows; first += kHeadRows) {
    const int64_t count = std::min(kHeadRows, rows - first);
    Gemm(RowOf(hidden, first), count, hidden.stride(0), head.forward, logits.mutable_data_ptr(),
         vocab, Store::kFp32);
    ParallelFor(count, [&](int64_t i) {
      thread_local std::vector<float> scratch;
      scratch.resize(vocab);
      float max, sum;
      const float* row = logits.const_data_ptr<float>() + i * vocab;
      lses[first + i] = LogSumExp(row, vocab, s, &max, &sum, scratch.data());
      to[first + i] = s * row[ids[first + i]] - lses[first + i];
    });
  }
  return out;
}

at::Tensor HeadBackward(const at::Tensor& hidden, const LinearWeight& head,
                        const at::Tensor& targets, double scale, const at::Tensor& lse,
                        const at::Tensor& dlogprob) {
  // d logits = g * scale * (onehot(target) - softmax(scale * logits)). With the log-sum-exp known,
  // every block of the vocabulary stands alone, and the weight's gradient is visited once.
  const int64_t rows = hidden.size(0), width = hidden.size(1), vocab = head.forward.n();
  const Element element = ElementOf(hidden);
  at::Tensor dx = at::zeros({rows, width}, at::kFloat);
  at::Tensor logits = at::empty({rows, kHeadColumns}, at::kFloat);
  at::Tensor d = at::empty({rows, kHeadColumns}, hidden.scalar_type());
  const PackedMatrix right = PackedRows(hidden);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  const float* lses = lse.const_data_ptr<float>();
  const float* g = dlogprob.const_data_ptr<float>();
  const float s = static_cast<float>(scale);
  for (int64_t first = 0; first < vocab; first += kHeadColumns) {
    const int64_t count = std::min(kHeadColumns, vocab - first);
    const int64_t panels = (count + kPackColumns - 1) / kPackColumns;
    constexpr int64_t kRows = 64;
    ParallelFor((rows + kRows - 1) / kRows, [&](int64_t task) {
      const int64_t begin = task * kRows, end = std::min(rows, begin + kRows);
      float* block = logits.mutable_data_ptr<float>() + begin * kHeadColumns;
      GemmPanels(RowOf(hidden, begin), end - begin, hidden.stride(0), head.forward,
                 first / kPackColumns, panels, block, kHeadColumns);
      for (int64_t i = begin; i < end; ++i) {
        float* row = logits.mutable_data_ptr<float>() + i * kHeadColumns;
        ExpShifted(row, count, s, lses[i], row);
        const float factor = -g[i] * s;
        for (int64_t j = 0; j < count; ++j) row[j] *= factor;
        if (ids[i] >= first && ids[i] < first + count) row[ids[i] - first] -= factor;
        if (count < kHeadColumns) std::fill(row + count, row + kHeadColumns, 0.0f);
        if (element == Element::kBf16) {
          ToBf16(row, kHeadColumns,
                 static_cast<uint16_t*>(d.mutable_data_ptr()) + i * kHeadColumns);
        } else {
          std::copy_n(row, kHeadColumns, d.mutable_data_ptr<float>() + i * kHeadColumns);
        }
      }
    });
    GemmRows(d.const_data_ptr(), rows, kHeadColumns, head.backward, first,
             std::min(kHeadColumns, head.backward.padded_k() - first), dx.mutable_data_ptr(), width,
             Store::kAddFp32);
    if (head.trainable()) {
      const at::Tensor left = Transposed(d);
      Gemm(left.const_data_ptr(), count, left.size(1), right,
           GradOf(head.parts[0]).mutable_data_ptr<float>() + first * width, width, Store::kAddFp32);
    }
  }
  return dx.to(hidden.scalar_type());
}

}  // namespace reckon
