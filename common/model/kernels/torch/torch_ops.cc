#include "common/model/kernels/torch/torch_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_rms_norm.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "common/model/kernels/autograd.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "common/model/sampling.h"
#ifdef RECKON_CUDA
#include "common/model/kernels/cuda/layer_ops.h"
#endif
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// A tile of logits: what is held of them at once, 128 MB in fp32. The head has no tensor of [vocab,
// hidden] or [rows, vocab] but its weight and its gradient.
constexpr int64_t kHeadRows = 4096, kHeadColumns = 8192;

// A GPU multiplies bf16 into fp32 itself; on the CPU both are widened first.
bool MultipliesInto32(const at::Tensor& a) { return a.is_cuda() && a.scalar_type() != at::kFloat; }

// a * b in fp32, where the rows of a are those of a pass.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  const bool widens = !MultipliesInto32(a);
  const at::Tensor right = widens ? b.to(at::kFloat) : b;
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options().dtype(at::kFloat));
  ForRowTiles(a, out, /*adds=*/false, [&](const at::Tensor& x, at::Tensor y) {
    if (widens) {
      at::mm_out(y, x.to(at::kFloat), right);
    } else {
      at::mm_out(y, x, right, at::kFloat);
    }
  });
  return out;
}

// sum fp32 += a * b.
void AddFp32Product(const at::Tensor& a, const at::Tensor& b, at::Tensor sum) {
  if (MultipliesInto32(a)) {
    at::addmm_out(sum, sum, a, b, at::kFloat);
  } else {
    sum.addmm_(a.to(at::kFloat), b.to(at::kFloat));
  }
}

// The same where the rows of a are those of a pass.
void AddRowProduct(const at::Tensor& a, const at::Tensor& b, const at::Tensor& sum) {
  ForRowTiles(a, sum, /*adds=*/true,
              [&](const at::Tensor& x, const at::Tensor& y) { AddFp32Product(x, b, y); });
}

// The parts' gradients += dy^T x.
void AddWeightGrads(const std::vector<at::Tensor>& parts, const at::Tensor& x,
                    const at::Tensor& dy) {
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    const int64_t count = std::min(part.size(0), dy.size(1) - first);
    AddFp32Product(dy.narrow(1, first, count).t(), x, GradOf(part).narrow(0, 0, count));
    first += count;
  }
}

void AddTorchBiasGrads(const std::vector<at::Tensor>& parts, const at::Tensor& dy) {
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    GradOf(part).add_(dy.narrow(1, first, part.size(0)).to(at::kFloat).sum(0));
    first += part.size(0);
  }
}

// The columns of x that belong to part `index` of a layer with adapters: of an output [rows, n].
at::Tensor OutputPart(const at::Tensor& x, const PackedAdapters& adapters, size_t index) {
  const int64_t first = index == 0 ? 0 : adapters.ends[index - 1];
  return x.narrow(1, first, adapters.ends[index] - first);
}

// The same of low [rows, R].
at::Tensor LowPart(const at::Tensor& low, const PackedAdapters& adapters, size_t index) {
  return low.narrow(1, static_cast<int64_t>(index) * adapters.rank, adapters.rank);
}

// out += (x A^T) (scale * B)^T of each part; returns x A^T.
at::Tensor AddAdapters(const PackedAdapters& adapters, const at::Tensor& x, const at::Tensor& out) {
  const at::Tensor down = adapters.torch_down.t();
  at::Tensor low = at::empty({x.size(0), down.size(1)}, x.options());
  ForRowTiles(x, low, /*adds=*/false,
              [&](const at::Tensor& a, at::Tensor y) { at::mm_out(y, a, down); });
  for (size_t i = 0; i < adapters.ends.size(); ++i) {
    AddRowProduct(LowPart(low, adapters, i), adapters.torch_up[i].t(),
                  OutputPart(out, adapters, i));
  }
  return low;
}

// Adds to the gradients of the adapters, and what dx has of them to dx.
void AddAdapterGrads(const PackedAdapters& adapters, const at::Tensor& x, const at::Tensor& low,
                     const at::Tensor& dy, const at::Tensor& dx) {
  at::Tensor d_low = at::empty(low.sizes(), low.options());
  for (size_t i = 0; i < adapters.parts.size(); ++i) {
    const Adapter& part = adapters.parts[i];
    const at::Tensor dy_part = OutputPart(dy, adapters, i);
    LowPart(d_low, adapters, i).copy_(at::mm(dy_part, adapters.torch_up[i]));
    AddFp32Product(dy_part.t(), LowPart(low, adapters, i).mul(part.scale), GradOf(part.b));
    AddFp32Product(LowPart(d_low, adapters, i).t(), x, GradOf(part.a));
  }
  dx.add_(at::mm(d_low, adapters.torch_down));
}

// x W^T + bias in fp32, rounded to `type`.
at::Tensor LinearIn(at::ScalarType type, const at::Tensor& x, const LinearWeight& weight) {
  GradientRecorder recorder({x});
  at::Tensor out, low;
  if (type != at::kFloat && IsPlain(weight)) {
    out = RoundedProductOf(x, weight);
  } else {
    out = Product(x, weight.torch_weight.t());
    if (weight.adapters != nullptr) low = AddAdapters(*weight.adapters, x, out);
    if (weight.bias.defined()) out.add_(weight.bias);
    out = out.to(type);
  }
  if (!recorder.recording()) return out;
  return recorder.Record(out,
                         [x, low, saved = ForBackward(weight)](const at::Tensor& d_out) -> Tensors {
                           const at::Tensor dy = d_out.to(x.scalar_type());
                           AddWeightGrads(saved->parts, x, dy);
                           AddTorchBiasGrads(saved->bias_parts, dy);
                           const at::Tensor dx = at::mm(dy, saved->torch_weight);
                           if (low.defined()) AddAdapterGrads(*saved->adapters, x, low, dy, dx);
                           return {dx};
                         });
}

// A table's values as a function of its leaf; rounding counts as the identity.
at::Tensor ValuesOf(const TableWeight& table) {
  GradientRecorder recorder({table.leaf});
  if (!recorder.recording()) return table.values;
  return recorder.Record(table.values.detach(),
                         [leaf = table.leaf](const at::Tensor& d) -> Tensors {
                           GradOf(leaf).add_(d);
                           return {at::Tensor()};
                         });
}

// The RMS norm of x fp32 over the last dimension.
at::Tensor Normalize(const at::Tensor& x, const TableWeight& weight, double eps) {
  return std::get<0>(at::_fused_rms_norm(x, {x.size(-1)}, ValuesOf(weight), eps));
}

// hidden W^T, with minus infinity in the masked columns.
at::Tensor MaskedLogits(const at::Tensor& hidden, const LinearWeight& head) {
  at::Tensor logits = Product(hidden, head.torch_weight.t());
  if (head.masked.defined()) {
    logits.index_fill_(1, head.masked, -std::numeric_limits<float>::infinity());
  }
  return logits;
}

// The tile of the logits whose columns begin at `first`.
class LogitTile {
 public:
  LogitTile(const at::Tensor& hidden, const LinearWeight& head, const at::Tensor& excluded,
            const at::Tensor& targets, int64_t first, double scale)
      : first_(first),
        columns_(std::min(kHeadColumns, head.torch_weight.size(0) - first)),
        weight_(head.torch_weight.narrow(0, first, columns_)),
        x_(Product(hidden, weight_.t())),
        excluded_(excluded.defined() ? excluded.narrow(0, first, columns_) : excluded),
        targets_(targets),
        scale_(scale) {}

  const at::Tensor& weight() const { return weight_; }  // [columns, k]

  // To the log of the sum of exponentials over the tiles before, and the logits of targets that are
  // in one of them; [rows] both, changed in place.
  void AddTo(const at::Tensor& log_sum, const at::Tensor& target) const {
#ifdef RECKON_CUDA
    if (x_.is_cuda()) return FusedAddLogSum(Columns(), log_sum, target);
#endif
    const at::Tensor logits = Scaled();
    log_sum.copy_(at::logaddexp(log_sum, logits.logsumexp({1})));
    target.copy_(at::where(Has(), logits.gather(1, ColumnOf()).squeeze(1), target));
  }
  // [rows, columns] of `type`: d_logprob * scale * (onehot(target) - softmax(logits)). Once.
  at::Tensor Gradient(const at::Tensor& log_sum, const at::Tensor& d_logprob,
                      at::ScalarType type) const {
#ifdef RECKON_CUDA
    if (x_.is_cuda()) return FusedLogitGradient(Columns(), log_sum, d_logprob, type);
#endif
    const at::Tensor g = (d_logprob * scale_).unsqueeze(1);
    const at::Tensor d = Scaled().sub_(log_sum.unsqueeze(1)).exp_().mul_(-g);
    return d.scatter_add_(1, ColumnOf(), g * Has().unsqueeze(1)).to(type);
  }

 private:
#ifdef RECKON_CUDA
  LogitColumns Columns() const { return {x_, excluded_, targets_, first_, scale_}; }
#endif
  // In the place of x_.
  at::Tensor Scaled() const {
    at::Tensor logits = x_;
    logits.mul_(scale_);
    return excluded_.defined() ? logits.add_(excluded_) : logits;
  }
  // Whether each target is in the tile, and its column or any other.
  at::Tensor Has() const {
    return targets_.ge(first_).logical_and_(targets_.lt(first_ + columns_));
  }
  at::Tensor ColumnOf() const { return (targets_ - first_).clamp_(0, columns_ - 1).unsqueeze(1); }

  const int64_t first_, columns_;
  const at::Tensor weight_, x_, excluded_, targets_;
  const double scale_;
};

// [vocab] fp32: minus infinity for columns that are masked, or else 0. Undefined where none is.
at::Tensor Excluded(const LinearWeight& head) {
  if (!head.masked.defined()) return {};
  return at::zeros({head.torch_weight.size(0)}, head.torch_weight.options().dtype(at::kFloat))
      .index_fill_(0, head.masked, -std::numeric_limits<float>::infinity());
}

// The log-probabilities of the targets, and of each row the log of the sum of exponentials, which
// the backward reads.
struct LogProbs {
  at::Tensor of_targets, log_sum;
};

LogProbs LogProbForward(const at::Tensor& hidden, const LinearWeight& head,
                        const at::Tensor& targets, double scale) {
  const auto fp32 = hidden.options().dtype(at::kFloat);
  const at::Tensor excluded = Excluded(head);
  LogProbs out = {at::empty({hidden.size(0)}, fp32), at::empty({hidden.size(0)}, fp32)};
  // LibTorch also sums over columns in an order that depends on the number of rows.
  const int64_t most = RowTile() > 0 ? RowTile() : kHeadRows;
  for (int64_t row = 0; row < hidden.size(0); row += most) {
    const int64_t rows = std::min(most, hidden.size(0) - row);
    const at::Tensor x = FillTiles(hidden.narrow(0, row, rows));
    const at::Tensor ids = FillTiles(targets.narrow(0, row, rows).to(at::kLong));
    const at::Tensor target = at::zeros({x.size(0)}, fp32);
    const at::Tensor log_sum = at::full({x.size(0)}, -std::numeric_limits<float>::infinity(), fp32);
    for (int64_t first = 0; first < head.torch_weight.size(0); first += kHeadColumns) {
      LogitTile(x, head, excluded, ids, first, scale).AddTo(log_sum, target);
    }
    out.of_targets.narrow(0, row, rows).copy_((target - log_sum).narrow(0, 0, rows));
    out.log_sum.narrow(0, row, rows).copy_(log_sum.narrow(0, 0, rows));
  }
  return out;
}

// d_logits = d_logprob * scale * (onehot(target) - softmax(scale * logits)).
at::Tensor LogProbBackward(const at::Tensor& hidden, const LinearWeight& head,
                           const at::Tensor& targets, double scale, const at::Tensor& log_sum,
                           const at::Tensor& d_logprob) {
  const at::Tensor excluded = Excluded(head);
  at::Tensor dx = at::empty(hidden.sizes(), hidden.options());
  for (int64_t row = 0; row < hidden.size(0); row += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, hidden.size(0) - row);
    const at::Tensor x = hidden.narrow(0, row, rows);
    const at::Tensor ids = targets.narrow(0, row, rows).to(at::kLong);
    const at::Tensor d_rows = d_logprob.narrow(0, row, rows).contiguous();
    at::Tensor sum = at::zeros(x.sizes(), x.options().dtype(at::kFloat));
    for (int64_t first = 0; first < head.torch_weight.size(0); first += kHeadColumns) {
      const LogitTile tile(x, head, excluded, ids, first, scale);
      const at::Tensor d = tile.Gradient(log_sum.narrow(0, row, rows), d_rows, x.scalar_type());
      AddFp32Product(d, tile.weight(), sum);
      if (!head.parts.empty()) {  // one: the head is a single layer
        AddFp32Product(d.t(), x, GradOf(head.parts[0]).narrow(0, first, d.size(1)));
      }
    }
    dx.narrow(0, row, rows).copy_(sum);
  }
  return dx;
}

class TorchOperations : public Ops {
 public:
  void Pack(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
            LinearWeight* weight) const override {
    int64_t rows = 0, first = 0;
    for (const at::Tensor& part : parts) rows += part.size(0);
    const at::Tensor packed =
        at::empty({rows, parts[0].size(1)}, parts[0].options().dtype(ScalarTypeOf(dtype)));
    // Each is rounded by the copy that puts it into its place.
    for (const at::Tensor& part : parts) {
      packed.narrow(0, first, part.size(0)).copy_(part.detach());
      first += part.size(0);
    }
    weight->torch_weight = packed;
  }

  at::Tensor Unpack(const LinearWeight& weight) const override { return weight.torch_weight; }

  std::shared_ptr<const PackedAdapters> PackAdapters(const std::vector<Adapter>& parts, Dtype dtype,
                                                     bool trainable) const override {
    auto out = std::make_shared<PackedAdapters>();
    if (trainable) out->parts = parts;
    out->rank = parts[0].a.size(0);
    std::vector<at::Tensor> down;
    for (const Adapter& part : parts) {
      out->ends.push_back((out->ends.empty() ? 0 : out->ends.back()) + part.b.size(0));
      down.push_back(part.a.detach().to(ScalarTypeOf(dtype)));
      out->torch_up.push_back(
          part.b.detach().to(at::kFloat).mul(part.scale).to(ScalarTypeOf(dtype)));
    }
    out->torch_down = at::cat(down);
    return out;
  }

  at::Tensor MergeAdapter(const at::Tensor& weight, const Adapter& adapter) const override {
    return at::addmm(weight.detach().to(at::kFloat), adapter.b.detach().mul(adapter.scale),
                     adapter.a.detach());
  }

  at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table) const override {
    GradientRecorder recorder({table.leaf});
    at::Tensor out = at::embedding(table.values, tokens).to(at::kFloat);
    if (!recorder.recording()) return out;
    return recorder.Record(out, [tokens, leaf = table.leaf](const at::Tensor& d) -> Tensors {
      // Sorts the tokens on a GPU, where index_add would sum in any order.
      GradOf(leaf).index_put_({tokens.to(at::kLong)}, d, /*accumulate=*/true);
      return {at::Tensor()};
    });
  }

  at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps,
                     Dtype dtype) const override {
#ifdef RECKON_CUDA
    if (x.is_cuda()) return FusedRmsNorm(x, weight, eps, dtype);
#endif
    return Normalize(x, weight, eps).to(ScalarTypeOf(dtype));
  }

  at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight) const override {
    return LinearIn(x.scalar_type(), x, weight);
  }

  at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x,
                       const LinearWeight& weight) const override {
    return residual + LinearIn(at::kFloat, x, weight);
  }

  at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                      int64_t heads, int64_t kv_heads, int64_t dim, double eps) const override {
#ifdef RECKON_CUDA
    if (qkv.is_cuda()) return FusedHeadNorm(qkv, query, key, heads, kv_heads, dim, eps);
#endif
    const at::Tensor x = qkv.view({qkv.size(0), heads + 2 * kv_heads, dim});
    auto norm = [&](int64_t first, int64_t count, const TableWeight& weight) {
      return Normalize(x.narrow(1, first, count).to(at::kFloat), weight, eps).to(x.scalar_type());
    };
    return at::cat({norm(0, heads, query), norm(heads, kv_heads, key),
                    x.narrow(1, heads + kv_heads, kv_heads)},
                   1)
        .view(qkv.sizes());
  }

  at::Tensor RopeTable(const at::Tensor& positions, const at::Tensor& frequency,
                       double magnitude) const override {
    const at::Tensor angle = positions.to(at::kFloat).unsqueeze(1) * frequency;
    return at::cat({angle.cos(), angle.sin()}, 1).mul_(magnitude);
  }

  at::Tensor Rope(const at::Tensor& x, const at::Tensor& table, int64_t heads,
                  int64_t dim) const override {
#ifdef RECKON_CUDA
    if (x.is_cuda()) return FusedRope(x, table, heads, dim);
#endif
    const at::Tensor all = x.view({x.size(0), -1, dim});
    const at::Tensor of_row = table.unsqueeze(1);
    // [rows, 1, dim / 2]
    const at::Tensor cos = of_row.narrow(2, 0, dim / 2), sin = of_row.narrow(2, dim / 2, dim / 2);
    const at::Tensor a = all.narrow(1, 0, heads).narrow(2, 0, dim / 2).to(at::kFloat);
    const at::Tensor b = all.narrow(1, 0, heads).narrow(2, dim / 2, dim / 2).to(at::kFloat);
    const at::Tensor rotated = at::cat({a * cos - b * sin, b * cos + a * sin}, 2);
    return at::cat({rotated.to(x.scalar_type()), all.narrow(1, heads, all.size(1) - heads)}, 1)
        .view(x.sizes());
  }

  at::Tensor SwiGlu(const at::Tensor& gate_up) const override {
#ifdef RECKON_CUDA
    if (gate_up.is_cuda()) return FusedSwiGlu(gate_up);
#endif
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor gate = gate_up.narrow(1, 0, n).to(at::kFloat);
    return (at::silu(gate) * gate_up.narrow(1, n, n)).to(gate_up.scalar_type());
  }

  at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head) const override {
    return MaskedLogits(hidden.detach(), head);
  }

  at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                         const at::Tensor& targets, double temperature) const override {
    // With the head's leaf as an input, the head is trained even where the hidden states are not.
    GradientRecorder recorder({hidden, head.parts.empty() ? at::Tensor() : head.parts[0]});
    const double scale = InverseTemperature(temperature);
    const LogProbs out = LogProbForward(hidden, head, targets, scale);
    if (!recorder.recording()) return out.of_targets;
    return recorder.Record(
        out.of_targets,
        [hidden, head, targets, scale, log_sum = out.log_sum](const at::Tensor& d) -> Tensors {
          return {LogProbBackward(hidden, head, targets, scale, log_sum, d), at::Tensor()};
        });
  }
};

}  // namespace

at::Tensor ProductOf(const at::Tensor& x, const LinearWeight& weight) {
  at::Tensor out = Product(x, weight.torch_weight.t());
  if (weight.adapters != nullptr) AddAdapters(*weight.adapters, x, out);
  return out;
}

bool IsPlain(const LinearWeight& weight) {
  return weight.adapters == nullptr && !weight.bias.defined() && RowTile() == 0;
}

at::Tensor RoundedProductOf(const at::Tensor& x, const LinearWeight& weight) {
  CHECK(IsPlain(weight));
  const at::Tensor right = weight.torch_weight.t();
  return MultipliesInto32(x) ? at::mm(x, right) : Product(x, right).to(x.scalar_type());
}

void AddProductOf(const at::Tensor& x, const LinearWeight& weight, at::Tensor& sum) {
  AddRowProduct(x, weight.torch_weight.t(), sum);
  if (weight.adapters != nullptr) AddAdapters(*weight.adapters, x, sum);
}

absl::Status CheckRowInvariance(const ModelConfig& config, Dtype dtype, Backend backend) {
  if (RowTile() == 0 || backend == Backend::kCpuKernels) return absl::OkStatus();
  return CheckRowsAlike(config, dtype, backend, [](const at::Tensor& x, const at::Tensor& w) {
    LinearWeight weight;
    weight.torch_weight = w;
    const at::Tensor product = ProductOf(x, weight);
    at::Tensor sum = at::zeros(product.sizes(), product.options());
    AddProductOf(x, weight, sum);
    return at::cat({product, sum}, 1);
  });
}

const Ops& TorchOps() {
  static const TorchOperations ops;
  return ops;
}

}  // namespace reckon
