#include "common/model/kernels/cpu/attention_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

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

void Round(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }
void Round(const float* from, int64_t n, uint16_t* to) { ToBf16(from, n, to); }

int64_t Even(int64_t n) { return (n + 1) / 2 * 2; }
int64_t WholePanels(int64_t n) { return (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns; }

// The computation for one slice. The query heads are stacked: row h * time + t is row t of head h.
template <typename T>
class Slice {
 public:
  explicit Slice(const AttentionSlice& s)
      : s_(s),
        rows_(s.heads * s.time),
        width_(WholePanels(s.time)),
        dim_width_(WholePanels(s.dim)) {}

  void Run() {
    const std::vector<T> q = Stack(s_.q, s_.stride), d_out = Stack(s_.d_out, s_.d_out_stride);
    MultiplyByTransposed(q, s_.k, p_);
    MultiplyByTransposed(d_out, s_.v, d_);
    const float scale = 1.0f / std::sqrt(static_cast<float>(s_.dim));
    std::vector<float> product(s_.time);
    for (int64_t row = 0; row < rows_; ++row) {
      float *p = p_.data() + row * width_, *d = d_.data() + row * width_;
      // Causal: row t of a head sees keys 0 .. t. What the products computed beyond is replaced by
      // zeros, so the products that follow can run over whole panels and add nothing there.
      const int64_t keys = row % s_.time + 1;
      ExpShifted(p, keys, scale, scale * MaxOf(p, keys), p);
      Divide(p, keys, SumFixed(p, keys));
      SoftmaxBackward(p, keys, scale, product.data(), d);
      std::fill(p + keys, p + width_, 0.0f);
      std::fill(d + keys, d + width_, 0.0f);
    }
    QueryGradient();
    // The heads of the group are stacked along the rows over which these products sum: one product
    // adds the gradients of all heads that share the kv head, in one fixed order.
    KeyGradient(d_, q, s_.dk);
    KeyGradient(p_, d_out, s_.dv);
  }

 private:
  std::vector<T> Stack(const void* x, int64_t stride) const {
    std::vector<T> out(rows_ * s_.dim);
    for (int64_t row = 0; row < rows_; ++row) {
      const T* from = static_cast<const T*>(x) + row % s_.time * stride + row / s_.time * s_.dim;
      std::copy_n(from, s_.dim, out.data() + row * s_.dim);
    }
    return out;
  }

  // out [rows, width] = left [rows, dim] * right [time, dim]^T.
  void MultiplyByTransposed(const std::vector<T>& left, const void* right,
                            std::vector<float>& out) const {
    // Rows of k and v are `stride` apart and PackTransposed wants them adjacent.
    std::vector<T> rows(s_.time * s_.dim);
    for (int64_t t = 0; t < s_.time; ++t) {
      std::copy_n(static_cast<const T*>(right) + t * s_.stride, s_.dim, rows.data() + t * s_.dim);
    }
    PackedMatrix packed;
    packed.Reset(s_.dtype, s_.dim, s_.time);
    packed.PackTransposed(rows.data(), s_.time, 0);
    out.resize(rows_ * width_);
    GemmPanels(left.data(), rows_, s_.dim, packed, 0, width_ / kPanelColumns, out.data(), width_);
  }

  // dq = dS k.
  void QueryGradient() const {
    const int64_t ld = Even(width_);
    std::vector<T> left(rows_ * ld);
    for (int64_t row = 0; row < rows_; ++row) {
      Round(d_.data() + row * width_, width_, left.data() + row * ld);
    }
    PackedMatrix packed;
    packed.Reset(s_.dtype, s_.time, s_.dim);
    packed.PackRows(static_cast<const T*>(s_.k), s_.time, 0, s_.stride);
    std::vector<float> out(rows_ * dim_width_);
    GemmPanels(left.data(), rows_, ld, packed, 0, dim_width_ / kPanelColumns, out.data(),
               dim_width_);
    for (int64_t row = 0; row < rows_; ++row) {
      Round(out.data() + row * dim_width_, s_.dim,
            static_cast<T*>(s_.dq) + row % s_.time * s_.stride + row / s_.time * s_.dim);
    }
  }

  // to [time, dim] = left [rows, time]^T * right [rows, dim].
  void KeyGradient(const std::vector<float>& left, const std::vector<T>& right, void* to) const {
    const int64_t ld = Even(rows_);
    std::vector<T> transposed(s_.time * ld), row(width_);
    for (int64_t i = 0; i < rows_; ++i) {
      Round(left.data() + i * width_, width_, row.data());
      // Only keys that the row sees; the rest of `transposed` is zero from its construction.
      for (int64_t t = i % s_.time; t >= 0; --t) transposed[t * ld + i] = row[t];
    }
    PackedMatrix packed;
    packed.Reset(s_.dtype, rows_, s_.dim);
    packed.PackRows(right.data(), rows_, 0, s_.dim);
    std::vector<float> out(s_.time * dim_width_);
    GemmPanels(transposed.data(), s_.time, ld, packed, 0, dim_width_ / kPanelColumns, out.data(),
               dim_width_);
    for (int64_t t = 0; t < s_.time; ++t) {
      Round(out.data() + t * dim_width_, s_.dim, static_cast<T*>(to) + t * s_.stride);
    }
  }

  const AttentionSlice& s_;
  const int64_t rows_, width_, dim_width_;
  std::vector<float> p_;  // [rows, width] S, then P
  std::vector<float> d_;  // [rows, width] dP, then dS
};

}  // namespace

void AttentionBackward(const AttentionSlice& slice) {
  if (slice.dtype == Dtype::kBf16) {
    Slice<uint16_t>(slice).Run();
  } else {
    Slice<float>(slice).Run();
  }
}

}  // namespace reckon
