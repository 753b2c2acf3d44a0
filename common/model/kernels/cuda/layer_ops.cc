#include "common/model/kernels/cuda/layer_ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cuda/layer_kernels.h"
#include "common/model/kernels/cuda/on_device.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Sums that the rows of a pass add to the gradient of a norm's weight, at most: enough blocks for a
// large GPU. A number of its own, so that the sums have one order on every GPU.
constexpr int64_t kMostSums = 256;

bool HasBf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

// The gradient of x; adds that of the weight to its leaf's.
at::Tensor RunRmsNormGradient(const at::Tensor& x, const TableWeight& weight,
                              const at::Tensor& factor, const at::Tensor& d_out) {
  const OnDeviceOf on(x);
  const int64_t rows = x.size(0), n = x.size(1), blocks = std::min(rows, kMostSums);
  const at::Tensor d = d_out.contiguous();
  at::Tensor d_x = at::empty(x.sizes(), x.options()), d_weight;
  if (weight.leaf.defined()) d_weight = at::zeros({blocks, n}, x.options());
  OnDeviceOf::Check(LaunchRmsNormGradient(
      {.bf16 = HasBf16(d),
       .x = x.const_data_ptr<float>(),
       .weight = weight.values.const_data_ptr<float>(),
       .factor = factor.const_data_ptr<float>(),
       .d_out = d.const_data_ptr(),
       .d_x = d_x.mutable_data_ptr<float>(),
       .d_weight = d_weight.defined() ? d_weight.mutable_data_ptr<float>() : nullptr,
       .rows = rows,
       .n = n,
       .blocks = blocks},
      on.stream()));
  if (d_weight.defined()) GradOf(weight.leaf).add_(d_weight.sum(0));
  return d_x;
}

// Those of x; adds those of the weights to their leaves'.
at::Tensor RunHeadNormGradient(const HeadNormArgs& norm, const at::Tensor& x,
                               const TableWeight& query, const TableWeight& key,
                               const at::Tensor& d_out) {
  const OnDeviceOf on(x);
  const int64_t blocks = std::min(norm.rows, kMostSums);
  const at::Tensor d = d_out.contiguous();
  at::Tensor d_x = at::empty(x.sizes(), x.options()), d_weights;
  if (query.leaf.defined() || key.leaf.defined()) {
    d_weights = at::zeros({blocks * kHeadNormWarps, 2, norm.dim}, x.options().dtype(at::kFloat));
  }
  OnDeviceOf::Check(LaunchHeadNormGradient(
      {.norm = norm,
       .d_out = d.const_data_ptr(),
       .d_x = d_x.mutable_data_ptr(),
       .d_weights = d_weights.defined() ? d_weights.mutable_data_ptr<float>() : nullptr,
       .blocks = blocks},
      on.stream()));
  if (d_weights.defined()) {
    const at::Tensor sums = d_weights.sum(0);
    if (query.leaf.defined()) GradOf(query.leaf).add_(sums[0]);
    if (key.leaf.defined()) GradOf(key.leaf).add_(sums[1]);
  }
  return d_x;
}

// d_out undefined: forward.
at::Tensor RunSwiGlu(const at::Tensor& gate_up, const at::Tensor& d_out) {
  CHECK(gate_up.is_contiguous());
  const OnDeviceOf on(gate_up);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  const at::Tensor d = d_out.defined() ? d_out.contiguous() : d_out;
  at::Tensor out = at::empty({rows, d.defined() ? 2 * n : n}, gate_up.options());
  OnDeviceOf::Check(LaunchSwiGlu({.bf16 = HasBf16(gate_up),
                                  .gate_up = gate_up.const_data_ptr(),
                                  .d_out = d.defined() ? d.const_data_ptr() : nullptr,
                                  .out = out.mutable_data_ptr(),
                                  .rows = rows,
                                  .n = n},
                                 on.stream()));
  return out;
}

at::Tensor RunRotate(const at::Tensor& from, const at::Tensor& table, int64_t heads, int64_t dim,
                     bool back) {
  const at::Tensor x = from.contiguous();
  CHECK(table.is_contiguous());
  const OnDeviceOf on(x);
  at::Tensor out = at::empty(x.sizes(), x.options());
  OnDeviceOf::Check(LaunchRotate({.bf16 = HasBf16(x),
                                  .back = back,
                                  .x = x.const_data_ptr(),
                                  .table = table.const_data_ptr<float>(),
                                  .out = out.mutable_data_ptr(),
                                  .rows = x.size(0),
                                  .heads = x.size(1) / dim,
                                  .rotated = heads,
                                  .dim = dim},
                                 on.stream()));
  return out;
}

LogitTileArgs ArgsOf(const LogitColumns& tile) {
  CHECK(tile.x.is_contiguous() && tile.targets.is_contiguous());
  CHECK(!tile.excluded.defined() || tile.excluded.is_contiguous());
  return {.x = tile.x.const_data_ptr<float>(),
          .excluded = tile.excluded.defined() ? tile.excluded.const_data_ptr<float>() : nullptr,
          .targets = tile.targets.const_data_ptr<int64_t>(),
          .rows = tile.x.size(0),
          .columns = tile.x.size(1),
          .first = tile.first,
          .scale = static_cast<float>(tile.scale)};
}

}  // namespace

at::Tensor FusedRmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Dtype dtype) {
  GradientRecorder recorder({x, weight.leaf});
  const at::Tensor in = x.detach().contiguous();
  CHECK(weight.values.is_contiguous());
  const OnDeviceOf on(in);
  at::Tensor out = at::empty(in.sizes(), in.options().dtype(ScalarTypeOf(dtype)));
  at::Tensor factor = at::empty({in.size(0)}, in.options());
  OnDeviceOf::Check(LaunchRmsNorm({.bf16 = dtype == Dtype::kBf16,
                                   .x = in.const_data_ptr<float>(),
                                   .weight = weight.values.const_data_ptr<float>(),
                                   .out = out.mutable_data_ptr(),
                                   .factor = factor.mutable_data_ptr<float>(),
                                   .rows = in.size(0),
                                   .n = in.size(1),
                                   .eps = static_cast<float>(eps)},
                                  on.stream()));
  if (!recorder.recording()) return out;
  return recorder.Record(out, [in, weight, factor](const at::Tensor& d_out) -> Tensors {
    return {RunRmsNormGradient(in, weight, factor, d_out), at::Tensor()};
  });
}

at::Tensor FusedHeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                         int64_t heads, int64_t kv_heads, int64_t dim, double eps) {
  GradientRecorder recorder({qkv, query.leaf, key.leaf});
  const at::Tensor in = qkv.detach().contiguous();
  CHECK(query.values.is_contiguous() && key.values.is_contiguous());
  const OnDeviceOf on(in);
  at::Tensor out = at::empty(in.sizes(), in.options());
  at::Tensor factor = at::empty({in.size(0), heads + kv_heads}, in.options().dtype(at::kFloat));
  const HeadNormArgs args = {.bf16 = HasBf16(in),
                             .x = in.const_data_ptr(),
                             .query = query.values.const_data_ptr<float>(),
                             .key = key.values.const_data_ptr<float>(),
                             .out = out.mutable_data_ptr(),
                             .factor = factor.mutable_data_ptr<float>(),
                             .rows = in.size(0),
                             .heads = heads,
                             .kv_heads = kv_heads,
                             .dim = dim,
                             .eps = static_cast<float>(eps)};
  OnDeviceOf::Check(LaunchHeadNorm(args, on.stream()));
  if (!recorder.recording()) return out;
  // Of what `args` points to it keeps all but the output.
  return recorder.Record(out, [args, in, query, key, factor](const at::Tensor& d_out) -> Tensors {
    return {RunHeadNormGradient(args, in, query, key, d_out), at::Tensor(), at::Tensor()};
  });
}

at::Tensor FusedSwiGlu(const at::Tensor& gate_up) {
  GradientRecorder recorder({gate_up});
  const at::Tensor in = gate_up.detach().contiguous();
  const at::Tensor out = RunSwiGlu(in, at::Tensor());
  if (!recorder.recording()) return out;
  return recorder.Record(
      out, [in](const at::Tensor& d_out) -> Tensors { return {RunSwiGlu(in, d_out)}; });
}

at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& table, int64_t heads, int64_t dim) {
  GradientRecorder recorder({x});
  const at::Tensor out = RunRotate(x, table, heads, dim, /*back=*/false);
  if (!recorder.recording()) return out;
  return recorder.Record(out, [table, heads, dim](const at::Tensor& d_out) -> Tensors {
    return {RunRotate(d_out, table, heads, dim, /*back=*/true)};
  });
}

void FusedAddLogSum(const LogitColumns& tile, const at::Tensor& log_sum, const at::Tensor& target) {
  const OnDeviceOf on(tile.x);
  CHECK(log_sum.is_contiguous() && target.is_contiguous());
  OnDeviceOf::Check(LaunchAddLogSum({.tile = ArgsOf(tile),
                                     .log_sum = log_sum.mutable_data_ptr<float>(),
                                     .target = target.mutable_data_ptr<float>()},
                                    on.stream()));
}

at::Tensor FusedLogitGradient(const LogitColumns& tile, const at::Tensor& log_sum,
                              const at::Tensor& d_logprob, at::ScalarType type) {
  const OnDeviceOf on(tile.x);
  CHECK(log_sum.is_contiguous() && d_logprob.is_contiguous());
  at::Tensor d_x = at::empty(tile.x.sizes(), tile.x.options().dtype(type));
  OnDeviceOf::Check(LaunchLogitGradient({.tile = ArgsOf(tile),
                                         .bf16 = type == at::kBFloat16,
                                         .log_sum = log_sum.const_data_ptr<float>(),
                                         .d_logprob = d_logprob.const_data_ptr<float>(),
                                         .d_x = d_x.mutable_data_ptr()},
                                        on.stream()));
  return d_x;
}

}  // namespace reckon
