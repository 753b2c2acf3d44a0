#include "common/model/kernels/cpu/attention_backward.h"

#include <algorithm>
#include <cmath>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/operands.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

// Positions whose queries are worked on at once: with three heads of 64 and 300 keys, all buffers
// of a block fit the second-level cache.
constexpr int64_t kBlockPositions = 64;

// In place: the gradient d of one row of P becomes that of the row of scores. `product`: n floats.
RECKON_CLONES void SoftmaxBackward(const float* p, int64_t n, float scale, float* product,
                                   float* d) {
  for (int64_t i = 0; i < n; ++i) product[i] = p[i] * d[i];
  const float sum = SumFixed(product, n);
  for (int64_t i = 0; i < n; ++i) d[i] = p[i] * (d[i] - sum) * scale;
}

RECKON_CLONES void Divide(float* x, int64_t n, float by) {
  for (int64_t i = 0; i < n; ++i) x[i] /= by;
}

RECKON_CLONES void Add(const float* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

void Round(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }
void Round(const float* from, int64_t n, uint16_t* to) { ToBf16(from, n, to); }

int64_t Even(int64_t n) { return (n + 1) / 2 * 2; }
int64_t WholePanels(int64_t n) { return (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns; }

// The computation for one slice. Within a block the query heads are stacked: row h * count + t is
// position t of head h. `keys` are the stem's rows and then the branch's.
template <typename T>
class SliceBackward {
 public:
  explicit SliceBackward(const AttentionSlice& s)
      : s_(s),
        dim_width_(WholePanels(s.dim)),
        scale_(1.0f / std::sqrt(static_cast<float>(s.dim))) {}

  void Run() {
    stem_dk_.assign(s_.stem.count * dim_width_, 0.0f);
    stem_dv_.assign(s_.stem.count * dim_width_, 0.0f);
    RunSegment({s_.stem.first, 0}, s_.stem);
    for (const RowRange& branch : s_.branches) {
      if (branch.count > 0) RunSegment(s_.stem, branch);
    }
    Write(stem_dk_.data(), s_.stem, s_.dk);
    Write(stem_dv_.data(), s_.stem, s_.dv);
  }

 private:
  const T* RowOf(const void* x, int64_t row) const {
    return static_cast<const T*>(x) + row * s_.stride;
  }

  // `own` are the queries, `before` the rows whose keys come before theirs. `before` and, without
  // one, `own` are the stem.
  void RunSegment(RowRange before, RowRange own) {
    PackKeys(before, own);
    const int64_t keys = before.count + own.count;
    dk_.assign(keys * dim_width_, 0.0f);
    dv_.assign(keys * dim_width_, 0.0f);
    for (int64_t first = 0; first < own.count; first += kBlockPositions) {
      RunBlock(before.count + first,
               {own.first + first, std::min(kBlockPositions, own.count - first)});
    }
    const int64_t in_stem = std::min(keys, s_.stem.count);
    Add(dk_.data(), in_stem * dim_width_, stem_dk_.data());
    Add(dv_.data(), in_stem * dim_width_, stem_dv_.data());
    if (before.count == 0) return;
    Write(dk_.data() + in_stem * dim_width_, own, s_.dk);
    Write(dv_.data() + in_stem * dim_width_, own, s_.dv);
  }

  void PackKeys(RowRange before, RowRange own) {
    const int64_t keys = before.count + own.count;
    rows_.resize(keys * s_.dim);
    auto gather = [&](const void* x) {
      T* to = rows_.data();
      for (const RowRange& range : {before, own}) {
        for (int64_t t = 0; t < range.count; ++t, to += s_.dim) {
          std::copy_n(RowOf(x, range.first + t), s_.dim, to);
        }
      }
    };
    gather(s_.v);
    values_transposed_.Reset(s_.dtype, s_.dim, keys);
    values_transposed_.PackTransposed(rows_.data(), keys, 0);
    gather(s_.k);
    keys_transposed_.Reset(s_.dtype, s_.dim, keys);
    keys_transposed_.PackTransposed(rows_.data(), keys, 0);
    keys_.Reset(s_.dtype, keys, s_.dim);
    keys_.PackRows(rows_.data(), keys, 0, s_.dim);
  }

  // The rows `block`, the first of which is at `position` among the keys.
  void RunBlock(int64_t position, RowRange block) {
    const int64_t rows = s_.heads * block.count, keys = position + block.count;
    const int64_t width = WholePanels(keys);
    Stack(s_.q, s_.stride, block, &q_);
    Stack(s_.d_out, s_.d_out_stride, block, &d_out_);
    p_.resize(rows * width);
    d_.resize(rows * width);
    p_rounded_.resize(rows * width);
    d_rounded_.resize(rows * width);
    GemmPanels(q_.data(), rows, s_.dim, keys_transposed_, 0, width / kPanelColumns, p_.data(),
               width);
    GemmPanels(d_out_.data(), rows, s_.dim, values_transposed_, 0, width / kPanelColumns, d_.data(),
               width);
    product_.resize(keys);
    for (int64_t row = 0; row < rows; ++row) {
      float *p = p_.data() + row * width, *d = d_.data() + row * width;
      const int64_t seen = position + row % block.count + 1;
      Divide(p, seen, ExpSum(p, seen, scale_, scale_ * MaxOf(p, seen), p));
      SoftmaxBackward(p, seen, scale_, product_.data(), d);
      // Causal: what the products computed beyond is replaced by zeros, so that the products below
      // can run over whole panels and add nothing there.
      std::fill(p + seen, p + width, 0.0f);
      std::fill(d + seen, d + width, 0.0f);
      Round(p, width, p_rounded_.data() + row * width);
      Round(d, width, d_rounded_.data() + row * width);
    }
    out_.resize(rows * dim_width_);
    GemmPanels(d_rounded_.data(), rows, width, keys_, 0, dim_width_ / kPanelColumns, out_.data(),
               dim_width_, {.rows = s_.dtype == Dtype::kBf16 ? Even(keys) : keys});
    for (int64_t row = 0; row < rows; ++row) {
      Round(out_.data() + row * dim_width_, s_.dim,
            static_cast<T*>(s_.dq) + (block.first + row % block.count) * s_.stride +
                row / block.count * s_.dim);
    }
    // One product adds the gradients of all heads that share the kv head.
    AddKeyGradient(d_rounded_, rows, keys, width, q_, dk_.data());
    AddKeyGradient(p_rounded_, rows, keys, width, d_out_, dv_.data());
  }

  // [heads * count, dim]: the rows of each head.
  void Stack(const void* x, int64_t stride, RowRange block, std::vector<T>* out) const {
    out->resize(s_.heads * block.count * s_.dim);
    T* to = out->data();
    for (int64_t h = 0; h < s_.heads; ++h) {
      const T* from = static_cast<const T*>(x) + block.first * stride + h * s_.dim;
      for (int64_t t = 0; t < block.count; ++t, to += s_.dim) {
        std::copy_n(from + t * stride, s_.dim, to);
      }
    }
  }

  // to [keys, dim] += left [rows, keys]^T * right [rows, dim].
  void AddKeyGradient(const std::vector<T>& left, int64_t rows, int64_t keys, int64_t width,
                      const std::vector<T>& right, float* to) {
    const int64_t ld = Even(rows);
    transposed_.resize(keys * ld);
    TransposeRows(left.data(), rows, keys, width, transposed_.data(), ld);
    packed_.Reset(s_.dtype, rows, s_.dim);
    packed_.PackRows(right.data(), rows, 0, s_.dim);
    GemmPanels(transposed_.data(), keys, ld, packed_, 0, dim_width_ / kPanelColumns, to, dim_width_,
               {.accumulate = true});
  }

  void Write(const float* from, RowRange rows, void* to) const {
    for (int64_t t = 0; t < rows.count; ++t) {
      Round(from + t * dim_width_, s_.dim, static_cast<T*>(to) + (rows.first + t) * s_.stride);
    }
  }

  const AttentionSlice& s_;
  const int64_t dim_width_;
  const float scale_;
  std::vector<float> stem_dk_, stem_dv_;                     // [stem, dim_width]
  PackedMatrix keys_, keys_transposed_, values_transposed_;  // of a segment
  std::vector<float> dk_, dv_;                               // [keys of the segment, dim_width]
  // Of a block: S, then P; dP, then dS; both rounded; one row; dq.
  std::vector<float> p_, d_, product_, out_;
  std::vector<T> rows_, q_, d_out_, p_rounded_, d_rounded_, transposed_;
  PackedMatrix packed_;
};

}  // namespace

void AttentionBackward(const AttentionSlice& slice) {
  if (slice.dtype == Dtype::kBf16) {
    SliceBackward<uint16_t>(slice).Run();
  } else {
    SliceBackward<float>(slice).Run();
  }
}

}  // namespace reckon
