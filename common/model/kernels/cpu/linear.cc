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

// scale * B of all adapters as one [n, count * rank]: block diagonal.
at::Tensor BlockDiagonal(const std::vector<Adapter>& parts, int64_t n, int64_t rank) {
  at::Tensor out = at::zeros({n, static_cast<int64_t>(parts.size()) * rank}, at::kFloat);
  int64_t row = 0, column = 0;
  for (const Adapter& part : parts) {
    out.narrow(0, row, part.b.size(0))
        .narrow(1, column, part.b.size(1))
        .copy_(part.b.detach())
        .mul_(part.scale);
    row += part.b.size(0);
    column += rank;
  }
  return out;
}

// A of all adapters, one below the other: [count * rank, k].
at::Tensor Stacked(const std::vector<Adapter>& parts, int64_t rank) {
  at::Tensor out =
      at::zeros({static_cast<int64_t>(parts.size()) * rank, parts[0].a.size(1)}, at::kFloat);
  int64_t row = 0;
  for (const Adapter& part : parts) {
    out.narrow(0, row, part.a.size(0)).copy_(part.a.detach());
    row += rank;
  }
  return out;
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
  const int64_t n = out->ends.back();
  const at::Tensor a = Stacked(parts, out->rank), b = BlockDiagonal(parts, n, out->rank);
  const int64_t ranks = b.size(1), k = a.size(1);
  out->down.Reset(dtype, k, ranks);
  out->down.PackTransposed(a.const_data_ptr<float>(), ranks, 0);
  out->up.Reset(dtype, ranks, n);
  out->up.PackTransposed(b.const_data_ptr<float>(), n, 0);
  if (!trainable) return out;
  out->parts = parts;
  out->down_backward.Reset(dtype, ranks, k);
  out->down_backward.PackRows(a.const_data_ptr<float>(), ranks, 0, k);
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    PackedMatrix& up = out->up_backward.emplace_back();
    const float* block =
        b.const_data_ptr<float>() + first * ranks + static_cast<int64_t>(i) * out->rank;
    up.Reset(dtype, parts[i].b.size(0), out->rank);
    up.PackRows(block, parts[i].b.size(0), 0, ranks);
    first = out->ends[i];
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
