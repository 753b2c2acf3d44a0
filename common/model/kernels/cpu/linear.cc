#include "common/model/kernels/cpu/linear.h"

#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/operands.h"
#include "common/model/kernels/cpu/rows.h"

namespace reckon {
namespace {

void AddWeightGrads(const at::Tensor& x, const std::vector<at::Tensor>& parts,
                    const at::Tensor& dy) {
  // One transposition and one packing for all parts: rows first .. of `left` are the transposed
  // columns of dy that belong to a part.
  const at::Tensor left = TransposedLeft(dy);
  const PackedMatrix right = PackedRows(x);
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    at::Tensor grad = GradOf(part);
    Gemm(AddressOf(left, first), part.size(0), left.size(1), right, grad.mutable_data_ptr(),
         grad.size(1), OutputMode::kAccumulateFp32);
    first += part.size(0);
  }
}

void AddBiasGrads(const std::vector<at::Tensor>& parts, const at::Tensor& dy) {
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    AddColumnSums(AddressOf(dy, 0, first), dy.size(0), part.size(0), dy.size(1), DtypeOf(dy),
                  GradOf(part).mutable_data_ptr<float>());
    first += part.size(0);
  }
}

void AddAdapterGrads(const at::Tensor& x, const std::vector<Adapter>& adapters,
                     const at::Tensor& dy) {
  const Dtype dtype = DtypeOf(x);
  const at::Tensor dy_left = TransposedLeft(dy);
  const PackedMatrix x_right = PackedRows(x);
  int64_t first = 0;
  for (const Adapter& adapter : adapters) {
    const int64_t n = adapter.b.size(0), rank = adapter.b.size(1), k = adapter.a.size(1);
    // The scale is folded into the small matrices, so both products of the header carry it without
    // a pass over their results.
    const at::Tensor a = adapter.a.detach().mul(adapter.scale);
    const at::Tensor b = adapter.b.detach().mul(adapter.scale);
    PackedMatrix a_right, b_right;
    a_right.Reset(dtype, k, rank);
    a_right.PackTransposed(a.const_data_ptr<float>(), rank, 0);
    b_right.Reset(dtype, n, rank);
    b_right.PackRows(b.const_data_ptr<float>(), n, 0, rank);
    const at::Tensor xa = Multiply(x, a_right);
    const at::Tensor dyb_left = TransposedLeft(Multiply(dy.narrow(1, first, n), b_right));
    Gemm(AddressOf(dy_left, first), n, dy_left.size(1), PackedRows(xa),
         GradOf(adapter.b).mutable_data_ptr(), rank, OutputMode::kAccumulateFp32);
    Gemm(dyb_left.const_data_ptr(), rank, dyb_left.size(1), x_right,
         GradOf(adapter.a).mutable_data_ptr(), k, OutputMode::kAccumulateFp32);
    first += n;
  }
}

template <typename T>
void PackPart(const T* w, int64_t rows, int64_t first, bool trainable, LinearWeight* weight) {
  weight->forward.PackTransposed(w, rows, first);
  if (trainable) weight->backward.PackRows(w, rows, first, weight->forward.k());
}

}  // namespace

void PackLinear(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
                LinearWeight* weight) {
  const int64_t k = parts[0].size(1);
  int64_t n = 0, first = 0;
  for (const at::Tensor& part : parts) n += part.size(0);
  weight->forward.Reset(dtype, k, n);
  if (trainable) weight->backward.Reset(dtype, n, k);
  for (const at::Tensor& part : parts) {
    if (DtypeOf(part) == Dtype::kBf16) {
      const auto* w = static_cast<const uint16_t*>(part.const_data_ptr());
      PackPart(w, part.size(0), first, trainable, weight);
    } else {
      PackPart(part.const_data_ptr<float>(), part.size(0), first, trainable, weight);
    }
    first += part.size(0);
  }
}

at::Tensor LinearForward(const at::Tensor& x, const LinearWeight& weight) {
  if (!weight.bias.defined()) return Multiply(x, weight.forward);
  const int64_t rows = x.size(0), n = weight.forward.n();
  // Starts from the bias: by the rule of gemm_kernels.h it is added once, to the complete sum. The
  // result is rounded after that, once.
  at::Tensor out = weight.bias.expand({rows, n}).clone(at::MemoryFormat::Contiguous);
  Gemm(x.const_data_ptr(), rows, x.stride(0), weight.forward, out.mutable_data_ptr(), n,
       OutputMode::kAccumulateFp32);
  return out.to(x.scalar_type());
}

at::Tensor LinearBackward(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy) {
  if (!weight.parts.empty()) AddWeightGrads(x, weight.parts, dy);
  if (!weight.adapters.empty()) AddAdapterGrads(x, weight.adapters, dy);
  AddBiasGrads(weight.bias_parts, dy);
  return Multiply(dy, weight.backward);
}

}  // namespace reckon
