#include "common/model/kernels/cpu/output_head.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "common/base/thread_pool.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/operands.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

// Rows of a block of the forward (fp32 logits of a 49,152-word vocabulary: 25 MB).
constexpr int64_t kBlockRows = 128;
// Columns of a block of the backward, few enough to stay in the caches.
constexpr int64_t kBlockColumns = 1024;
// Rows of such a block that one task computes.
constexpr int64_t kRowsPerTask = 64;

}  // namespace

void MaskColumns(const LinearWeight& head, int64_t rows, int64_t vocab, float* logits) {
  if (!head.masked.defined()) return;
  const int64_t* columns = head.masked.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < head.masked.numel(); ++j) {
      logits[i * vocab + columns[j]] = -std::numeric_limits<float>::infinity();
    }
  }
}

at::Tensor LogProbForward(const at::Tensor& hidden, const LinearWeight& head,
                          const at::Tensor& targets, float scale, const at::Tensor& lse) {
  const int64_t rows = hidden.size(0), vocab = head.forward.n();
  at::Tensor out = at::empty({rows}, at::kFloat);
  at::Tensor logits = at::empty({std::min(rows, kBlockRows), vocab}, at::kFloat);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  float* to = out.mutable_data_ptr<float>();
  float* lses = lse.mutable_data_ptr<float>();
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const int64_t count = std::min(kBlockRows, rows - first);
    Gemm(AddressOf(hidden, first), count, hidden.stride(0), head.forward, logits.mutable_data_ptr(),
         vocab, OutputMode::kFp32);
    MaskColumns(head, count, vocab, logits.mutable_data_ptr<float>());
    ParallelFor(count, [&](int64_t i) {
      thread_local std::vector<float> scratch;
      scratch.resize(vocab);
      float max, sum;
      const float* row = logits.const_data_ptr<float>() + i * vocab;
      lses[first + i] = LogSumExp(row, vocab, scale, &max, &sum, scratch.data());
      to[first + i] = scale * row[ids[first + i]] - lses[first + i];
    });
  }
  return out;
}

at::Tensor LogProbBackward(const at::Tensor& hidden, const LinearWeight& head,
                           const at::Tensor& targets, float scale, const at::Tensor& lse,
                           const at::Tensor& d_logprob) {
  const int64_t rows = hidden.size(0), width = hidden.size(1), vocab = head.forward.n();
  at::Tensor dx = at::zeros({rows, width}, at::kFloat);
  at::Tensor logits = at::empty({rows, kBlockColumns}, at::kFloat);
  at::Tensor d = at::empty({rows, kBlockColumns}, hidden.scalar_type());
  const PackedMatrix right = PackedRows(hidden);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  const float* lses = lse.const_data_ptr<float>();
  const float* g = d_logprob.const_data_ptr<float>();
  const int64_t* masked = head.masked.defined() ? head.masked.const_data_ptr<int64_t>() : nullptr;
  const int64_t* masked_end = masked + (masked == nullptr ? 0 : head.masked.numel());
  for (int64_t first = 0; first < vocab; first += kBlockColumns) {
    const int64_t count = std::min(kBlockColumns, vocab - first);
    // Masked columns of this block: the probability of each is 0.
    const int64_t* zero = std::lower_bound(masked, masked_end, first);
    const int64_t* zero_end = std::lower_bound(zero, masked_end, first + count);
    const int64_t panels = (count + kPanelColumns - 1) / kPanelColumns;
    ParallelFor((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
      const int64_t begin = task * kRowsPerTask, end = std::min(rows, begin + kRowsPerTask);
      float* block = logits.mutable_data_ptr<float>() + begin * kBlockColumns;
      GemmPanels(AddressOf(hidden, begin), end - begin, hidden.stride(0), head.forward,
                 first / kPanelColumns, panels, block, kBlockColumns);
      for (int64_t i = begin; i < end; ++i) {
        float* row = logits.mutable_data_ptr<float>() + i * kBlockColumns;
        // With lse from the forward, exp(scale * logit - lse) is the probability itself: no second
        // pass over the vocabulary is needed to normalise a block.
        ExpShifted(row, count, scale, lses[i], row);
        for (const int64_t* column = zero; column < zero_end; ++column) row[*column - first] = 0;
        const float factor = -g[i] * scale;
        for (int64_t j = 0; j < count; ++j) row[j] *= factor;
        if (ids[i] >= first && ids[i] < first + count) row[ids[i] - first] -= factor;
        // The last block of the vocabulary may be short; the products below read it up to an even
        // number of columns.
        if (count < kBlockColumns) std::fill(row + count, row + kBlockColumns, 0.0f);
        if (DtypeOf(hidden) == Dtype::kBf16) {
          ToBf16(row, kBlockColumns,
                 static_cast<uint16_t*>(d.mutable_data_ptr()) + i * kBlockColumns);
        } else {
          std::copy_n(row, kBlockColumns, d.mutable_data_ptr<float>() + i * kBlockColumns);
        }
      }
    });
    // dx is a sum over the vocabulary, block after block in this order, in fp32. It is rounded
    // once, at the end.
    GemmRows(d.const_data_ptr(), rows, kBlockColumns, head.backward, first,
             std::min(kBlockColumns, head.backward.padded_k() - first), dx.mutable_data_ptr(),
             width, OutputMode::kAccumulateFp32);
    if (!head.parts.empty()) {
      const at::Tensor left = TransposedLeft(d);
      Gemm(left.const_data_ptr(), count, left.size(1), right,
           GradOf(head.parts[0]).mutable_data_ptr<float>() + first * width, width,
           OutputMode::kAccumulateFp32);
    }
  }
  return dx.to(hidden.scalar_type());
}

}  // namespace reckon
