#include "common/model/kernels/cpu/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

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

// x with zeros behind, so that dimension `dim` has `size`.
at::Tensor Padded(const at::Tensor& x, int64_t dim, int64_t size) {
  if (x.size(dim) == size) return x;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[dim] = size;
  at::Tensor out = at::zeros(sizes, x.options());
  out.narrow(dim, 0, x.size(dim)).copy_(x);
  return out;
}

// Adapter i of `out`, whose ends are known: a [rank, k] and b [n_i, rank], with the scale.
template <typename T>
void PackAdapter(const T* a, const T* b, size_t i, bool trainable, PackedAdapters* out) {
  const int64_t rank = out->rank, k = out->down.k(), first = static_cast<int64_t>(i) * rank;
  const int64_t column = i == 0 ? 0 : out->ends[i - 1], columns = out->ends[i] - column;
  out->down.PackTransposed(a, rank, first);
  out->up.PackTransposedRows(b, rank, columns, first, column);
  if (!trainable) return;
  out->down_backward.PackRows(a, rank, first, k);
  out->up_backward[i].Reset(out->up.dtype(), columns, rank);
  out->up_backward[i].PackRows(b, columns, 0, rank);
}

AddedProduct Up(const at::Tensor& low, const LinearWeight& weight) {
  if (!low.defined()) return {};
  const PackedAdapters& adapters = *weight.adapters;
  return {low.const_data_ptr(), low.size(1), &adapters.up, adapters.ends, adapters.rank};
}

OutputMode ModeOf(const at::Tensor& x) {
  return DtypeOf(x) == Dtype::kBf16 ? OutputMode::kBf16 : OutputMode::kFp32;
}

// Adds to the gradients of the adapters; returns d_low [rows, R].
at::Tensor AddAdapterGrads(const at::Tensor& x, const at::Tensor& low,
                           const PackedAdapters& adapters, const at::Tensor& dy) {
  const int64_t rank = adapters.rank;
  at::Tensor d_low = at::empty(low.sizes(), low.scalar_type());
  const at::Tensor dy_left = TransposedLeft(dy);
  int64_t first = 0;
  for (size_t i = 0; i < adapters.parts.size(); ++i) {
    const Adapter& part = adapters.parts[i];
    const auto column = static_cast<int64_t>(i) * rank;
    Gemm(AddressOf(dy, 0, first), dy.size(0), dy.size(1), adapters.up_backward[i],
         d_low.narrow(1, column, rank).mutable_data_ptr(), d_low.size(1), ModeOf(dy));
    // The scale is in the small matrix, so the product carries it without a pass over its result.
    const at::Tensor scaled = low.narrow(1, column, part.b.size(1)).mul(part.scale);
    Gemm(AddressOf(dy_left, first), part.b.size(0), dy_left.size(1), PackedRows(scaled),
         GradOf(part.b).mutable_data_ptr(), part.b.size(1), OutputMode::kAccumulateFp32);
    first = adapters.ends[i];
  }
  const at::Tensor d_low_left = TransposedLeft(d_low);
  const PackedMatrix x_right = PackedRows(x);
  for (size_t i = 0; i < adapters.parts.size(); ++i) {
    const at::Tensor& a = adapters.parts[i].a;
    Gemm(AddressOf(d_low_left, static_cast<int64_t>(i) * rank), a.size(0), d_low_left.size(1),
         x_right, GradOf(a).mutable_data_ptr(), a.size(1), OutputMode::kAccumulateFp32);
  }
  return d_low;
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

at::Tensor UnpackLinear(const LinearWeight& weight) {
  const PackedMatrix& packed = weight.forward;
  at::Tensor out = at::empty({packed.n(), packed.k()}, ScalarTypeOf(packed.dtype()));
  packed.UnpackTransposed(out.mutable_data_ptr());
  return out;
}

std::shared_ptr<const PackedAdapters> PackLinearAdapters(const std::vector<Adapter>& parts,
                                                         Dtype dtype, bool trainable) {
  auto out = std::make_shared<PackedAdapters>();
  out->rank = (parts[0].a.size(0) + 1) / 2 * 2;
  for (const Adapter& part : parts) {
    out->ends.push_back((out->ends.empty() ? 0 : out->ends.back()) + part.b.size(0));
  }
  const int64_t ranks = static_cast<int64_t>(parts.size()) * out->rank;
  const int64_t k = parts[0].a.size(1), n = out->ends.back();
  out->down.Reset(dtype, k, ranks);
  out->up.Reset(dtype, ranks, n);
  out->up.Clear();  // but for the blocks of its diagonal
  if (trainable) {
    out->parts = parts;
    out->up_backward.resize(parts.size());
    out->down_backward.Reset(dtype, ranks, k);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const Adapter& part = parts[i];
    const at::Tensor a = Padded(part.a.detach(), 0, out->rank);
    const at::Tensor b =
        Padded(part.scale == 1 ? part.b.detach() : part.b.detach().mul(part.scale), 1, out->rank);
    if (DtypeOf(a) == Dtype::kBf16) {
      PackAdapter(reinterpret_cast<const uint16_t*>(a.const_data_ptr<at::BFloat16>()),
                  reinterpret_cast<const uint16_t*>(b.const_data_ptr<at::BFloat16>()), i, trainable,
                  out.get());
    } else {
      PackAdapter(a.const_data_ptr<float>(), b.const_data_ptr<float>(), i, trainable, out.get());
    }
  }
  return out;
}

at::Tensor LowRank(const at::Tensor& x, const LinearWeight& weight) {
  return weight.adapters == nullptr ? at::Tensor() : Multiply(x, weight.adapters->down);
}

at::Tensor LinearForward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight) {
  const int64_t rows = x.size(0), n = weight.forward.n();
  if (weight.bias.defined()) {
    // Starts from the bias: by the rule of gemm_kernels.h it is added once, to the complete sum.
    // The result is rounded after that, once.
    at::Tensor out = weight.bias.expand({rows, n}).clone(at::MemoryFormat::Contiguous);
    Gemm(x.const_data_ptr(), rows, x.stride(0), weight.forward, out.mutable_data_ptr(), n,
         OutputMode::kAccumulateFp32, Up(low, weight));
    return out.to(x.scalar_type());
  }
  at::Tensor out = at::empty({rows, n}, x.scalar_type());
  Gemm(x.const_data_ptr(), rows, x.stride(0), weight.forward, out.mutable_data_ptr(), n, ModeOf(x),
       Up(low, weight));
  return out;
}

void AddLinearForward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight,
                      const at::Tensor& to) {
  Gemm(x.const_data_ptr(), x.size(0), x.stride(0), weight.forward, to.mutable_data_ptr(),
       to.size(1), OutputMode::kAccumulateFp32, Up(low, weight));
  if (weight.bias.defined()) to.add_(weight.bias);
}

at::Tensor LinearBackward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight,
                          const at::Tensor& dy) {
  if (!weight.parts.empty()) AddWeightGrads(x, weight.parts, dy);
  AddBiasGrads(weight.bias_parts, dy);
  at::Tensor d_low;
  AddedProduct down;
  int64_t end = x.size(1);
  if (low.defined()) {
    d_low = AddAdapterGrads(x, low, *weight.adapters, dy);
    down = {d_low.const_data_ptr(),
            d_low.size(1),
            &weight.adapters->down_backward,
            {&end, 1},
            d_low.size(1)};
  }
  at::Tensor dx = at::empty({dy.size(0), end}, dy.scalar_type());
  Gemm(dy.const_data_ptr(), dy.size(0), dy.stride(0), weight.backward, dx.mutable_data_ptr(), end,
       ModeOf(dy), down);
  return dx;
}

}  // namespace reckon
