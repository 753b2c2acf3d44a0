#include "common/model/ops/adapter.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>

#include "common/model/ops/backward.h"
#include "common/model/ops/operands.h"
#include "common/model/ops/ops.h"

namespace reckon {
namespace {

// left [m, k] * right -> [m, n] of their type.
at::Tensor Times(const void* left, int64_t m, int64_t lda, const PackedMatrix& right,
                 at::ScalarType type) {
  at::Tensor out = at::empty({m, right.n()}, type);
  Gemm(left, m, lda, right, out.mutable_data_ptr(), right.n(),
       right.element() == Element::kBf16 ? Store::kBf16 : Store::kFp32);
  return out;
}

}  // namespace

at::Tensor Merged(const at::Tensor& weight, const Adapter& adapter) {
  const at::Tensor a = adapter.a.detach(), b = adapter.b.detach().mul(adapter.scale);
  const at::Tensor base = weight.detach().to(at::kFloat);
  if (!base.is_cpu()) return at::addmm(base, b, a);
  at::Tensor out = base.clone();
  Gemm(b.const_data_ptr(), b.size(0), b.size(1), PackedRows(a), out.mutable_data_ptr(), out.size(1),
       Store::kAddFp32);
  return out;
}

void AddAdapterGrads(const at::Tensor& x, const std::vector<Adapter>& adapters,
                     const at::Tensor& dy) {
  const int64_t rows = x.size(0);
  const at::ScalarType type = x.scalar_type();
  const Element element = ElementOf(x);
  const at::Tensor dy_left = Transposed(dy);
  const PackedMatrix x_right = PackedRows(x);
  int64_t first = 0;
  for (const Adapter& adapter : adapters) {
    const int64_t n = adapter.b.size(0), rank = adapter.b.size(1), k = adapter.a.size(1);
    const at::Tensor a = adapter.a.detach().mul(adapter.scale);
    const at::Tensor b = adapter.b.detach().mul(adapter.scale);
    PackedMatrix a_right, b_right;
    a_right.Reset(element, k, rank);
    a_right.PackTransposed(a.const_data_ptr<float>(), rank, 0);
    b_right.Reset(element, n, rank);
    b_right.PackRows(b.const_data_ptr<float>(), n, 0, rank);
    const at::Tensor xa = Times(x.const_data_ptr(), rows, x.stride(0), a_right, type);
    const auto* dy_part = static_cast<const char*>(dy.const_data_ptr()) + first * dy.element_size();
    const at::Tensor dyb = Times(dy_part, rows, dy.size(1), b_right, type);
    const at::Tensor dyb_left = Transposed(dyb);
    Gemm(RowOf(dy_left, first), n, dy_left.size(1), PackedRows(xa),
         GradOf(adapter.b).mutable_data_ptr(), rank, Store::kAddFp32);
    Gemm(dyb_left.const_data_ptr(), rank, dyb_left.size(1), x_right,
         GradOf(adapter.a).mutable_data_ptr(), k, Store::kAddFp32);
    first += n;
  }
}

}  // namespace reckon
