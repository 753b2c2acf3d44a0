#include "common/model/kernels/cpu/output_head.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "common/base/thread_pool.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/operands.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

// Rows of a block of the forward (fp32 logits of a 49,152-word vocabulary: 25 MB).
constexpr int64_t kBlockRows = 128;
// Columns of a block of the backward, few enough to stay in the caches.
constexpr int64_t kBlockColumns = 1024;
// Rows of such a block that one task computes; all are of one block of the forward.
constexpr int64_t kRowsPerTask = 64;
static_assert(kBlockRows % kRowsPerTask == 0);
// Of errors that are kept: those of a default micro-batch and a vocabulary of 65,536 words in bf16.
constexpr int64_t kKeptBytes = int64_t{256} << 20;

// The errors of columns first .. first+n-1 of a row, from the terms exp(scale * logit - max) of its
// sum, which it overwrites.
RECKON_CLONES void ErrorsOf(int64_t first, int64_t n, float sum, int64_t target, float* terms) {
  for (int64_t j = 0; j < n; ++j) terms[j] /= sum;
  if (target >= first && target < first + n) terms[target - first] -= 1.0f;
}

// out = factor * errors, which it may overwrite.
RECKON_CLONES void Scale(const uint16_t* errors, int64_t n, float factor, uint16_t* out) {
  for (int64_t j = 0; j < n; ++j) out[j] = ToBf16(factor * FromBf16(errors[j]));
}
void Scale(const float* errors, int64_t n, float factor, float* out) {
  for (int64_t j = 0; j < n; ++j) out[j] = factor * errors[j];
}

void Round(const float* x, int64_t n, uint16_t* out) { ToBf16(x, n, out); }
void Round(const float* x, int64_t n, float* out) { std::copy_n(x, n, out); }

// T: the elements of `hidden`.
template <typename T>
at::Tensor ForwardAs(const at::Tensor& hidden, const LinearWeight& head, const at::Tensor& targets,
                     float scale, HeadRows* kept) {
  const int64_t rows = hidden.size(0), vocab = head.forward.n();
  at::Tensor out = at::empty({rows}, at::kFloat);
  at::Tensor logits = at::empty({std::min(rows, kBlockRows), vocab}, at::kFloat);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  float* to = out.mutable_data_ptr<float>();
  if (kept != nullptr) {
    *kept = {.max = at::empty({rows}, at::kFloat), .sum = at::empty({rows}, at::kFloat)};
  }
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const int64_t count = std::min(kBlockRows, rows - first);
    Gemm(AddressOf(hidden, first), count, hidden.stride(0), head.forward, logits.mutable_data_ptr(),
         vocab, OutputMode::kFp32);
    MaskColumns(head, count, vocab, logits.mutable_data_ptr<float>());
    T* errors = nullptr;
    if (kept != nullptr) {
      at::Tensor& of_block = kept->errors.emplace_back();
      if ((first + count) * vocab * static_cast<int64_t>(sizeof(T)) <= kKeptBytes) {
        of_block = at::empty({count, vocab}, hidden.scalar_type());
        errors = static_cast<T*>(of_block.mutable_data_ptr());
      }
    }
    ParallelFor(count, [&](int64_t i) {
      thread_local std::vector<float> terms;
      terms.resize(vocab);
      float max, sum;
      const float* row = logits.const_data_ptr<float>() + i * vocab;
      const int32_t target = ids[first + i];
      to[first + i] = scale * row[target] - LogSumExp(row, vocab, scale, &max, &sum, terms.data());
      if (kept == nullptr) return;
      kept->max.mutable_data_ptr<float>()[first + i] = max;
      kept->sum.mutable_data_ptr<float>()[first + i] = sum;
      if (errors == nullptr) return;
      ErrorsOf(0, vocab, sum, target, terms.data());
      Round(terms.data(), vocab, errors + i * vocab);
    });
  }
  return out;
}

template <typename T>
at::Tensor BackwardAs(const at::Tensor& hidden, const LinearWeight& head, const at::Tensor& targets,
                      float scale, const HeadRows& kept, const at::Tensor& d_logprob) {
  const int64_t rows = hidden.size(0), width = hidden.size(1), vocab = head.forward.n();
  at::Tensor dx = at::zeros({rows, width}, at::kFloat);
  at::Tensor logits = at::empty({rows, kBlockColumns}, at::kFloat);
  at::Tensor d = at::empty({rows, kBlockColumns}, hidden.scalar_type());
  const PackedMatrix right = PackedRows(hidden);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
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
      const at::Tensor& errors = kept.errors[begin / kBlockRows];
      float* block = logits.mutable_data_ptr<float>() + begin * kBlockColumns;
      if (!errors.defined()) {
        GemmPanels(AddressOf(hidden, begin), end - begin, hidden.stride(0), head.forward,
                   first / kPanelColumns, panels, block, kBlockColumns);
      }
      for (int64_t i = begin; i < end; ++i) {
        T* const d_row = static_cast<T*>(d.mutable_data_ptr()) + i * kBlockColumns;
        const T* of_row = d_row;
        if (errors.defined()) {
          of_row = static_cast<const T*>(errors.const_data_ptr()) + i % kBlockRows * vocab + first;
        } else {
          float* const row = block + (i - begin) * kBlockColumns;
          ExpShifted(row, count, scale, kept.max.const_data_ptr<float>()[i], row);
          for (const int64_t* column = zero; column < zero_end; ++column) row[*column - first] = 0;
          ErrorsOf(first, count, kept.sum.const_data_ptr<float>()[i], ids[i], row);
          Round(row, count, d_row);
        }
        Scale(of_row, count, -g[i] * scale, d_row);
        // The last block of the vocabulary may be short; the products below read it up to an even
        // number of columns.
        std::fill(d_row + count, d_row + kBlockColumns, T{0});
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
                          const at::Tensor& targets, float scale, HeadRows* kept) {
  return DtypeOf(hidden) == Dtype::kBf16 ? ForwardAs<uint16_t>(hidden, head, targets, scale, kept)
                                         : ForwardAs<float>(hidden, head, targets, scale, kept);
}

at::Tensor LogProbBackward(const at::Tensor& hidden, const LinearWeight& head,
                           const at::Tensor& targets, float scale, const HeadRows& kept,
                           const at::Tensor& d_logprob) {
  return DtypeOf(hidden) == Dtype::kBf16
             ? BackwardAs<uint16_t>(hidden, head, targets, scale, kept, d_logprob)
             : BackwardAs<float>(hidden, head, targets, scale, kept, d_logprob);
}

}  // namespace reckon
