#include "common/model/kernels/cpu/cpu_ops.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <utility>

#include "common/base/thread_pool.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/copies.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/cpu/linear.h"
#include "common/model/kernels/cpu/operands.h"
#include "common/model/kernels/cpu/output_head.h"
#include "common/model/kernels/cpu/rows.h"
#include "common/model/sampling.h"

namespace reckon {
namespace {

// The gradient of a norm's weight, or null if it is not trained.
float* GradOrNull(const TableWeight& weight) {
  return weight.leaf.defined() ? GradOf(weight.leaf).mutable_data_ptr<float>() : nullptr;
}

// The first row of head `head` of qkv.
void* HeadOf(const at::Tensor& qkv, int64_t head, int64_t dim) {
  return static_cast<char*>(qkv.mutable_data_ptr()) + head * dim * qkv.element_size();
}

void Rotate(const at::Tensor& x, const at::Tensor& table, int64_t heads, int64_t dim,
            bool inverse) {
  RopeRows(x.mutable_data_ptr(), table.const_data_ptr<float>(), x.size(0), heads, dim, x.stride(0),
           inverse, DtypeOf(x));
}

class CpuKernels : public Ops {
 public:
  void Pack(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
            LinearWeight* weight) const override {
    PackLinear(parts, dtype, trainable, weight);
  }

  at::Tensor Unpack(const LinearWeight& weight) const override { return UnpackLinear(weight); }

  std::shared_ptr<const PackedAdapters> PackAdapters(const std::vector<Adapter>& parts, Dtype dtype,
                                                     bool trainable) const override {
    return PackLinearAdapters(parts, dtype, trainable);
  }

  at::Tensor MergeAdapter(const at::Tensor& weight, const Adapter& adapter) const override {
    const at::Tensor a = adapter.a.detach(), b = adapter.b.detach().mul(adapter.scale);
    at::Tensor out = weight.detach().to(at::kFloat).clone();
    // In fp32: an exported version is rounded once, from this sum.
    Gemm(b.const_data_ptr(), b.size(0), b.size(1), PackedRows(a), out.mutable_data_ptr(),
         out.size(1), OutputMode::kAccumulateFp32);
    return out;
  }

  at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table) const override {
    GradientRecorder recorder({table.leaf});
    const int64_t rows = tokens.size(0), n = table.values.size(1);
    at::Tensor out = at::empty({rows, n}, at::kFloat);
    const int32_t* ids = tokens.const_data_ptr<int32_t>();
    float* to = out.mutable_data_ptr<float>();
    if (DtypeOf(table.values) == Dtype::kBf16) {
      const auto* from = static_cast<const uint16_t*>(table.values.const_data_ptr());
      ParallelFor(rows, [&](int64_t i) {
        for (int64_t j = 0; j < n; ++j) to[i * n + j] = FromBf16(from[ids[i] * n + j]);
      });
    } else {
      const float* from = table.values.const_data_ptr<float>();
      for (int64_t i = 0; i < rows; ++i) {
        std::memcpy(to + i * n, from + ids[i] * n, n * sizeof(float));
      }
    }
    if (!recorder.recording()) return out;
    return recorder.Record(out, [tokens, leaf = table.leaf, n](const at::Tensor& dy) -> Tensors {
      const at::Tensor d = dy.contiguous();
      const int32_t* ids = tokens.const_data_ptr<int32_t>();
      const float* from = d.const_data_ptr<float>();
      float* grad = GradOf(leaf).mutable_data_ptr<float>();
      // On one thread and in the order of rows: a token that occurs twice adds twice to the same
      // row of the gradient.
      for (int64_t i = 0; i < d.size(0); ++i) {
        for (int64_t j = 0; j < n; ++j) grad[ids[i] * n + j] += from[i * n + j];
      }
      return {at::Tensor()};
    });
  }

  at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps,
                     Dtype dtype) const override {
    GradientRecorder recorder({x});
    const float e = static_cast<float>(eps);
    at::Tensor out = at::empty(x.sizes(), ScalarTypeOf(dtype));
    RmsNormRows(x.const_data_ptr<float>(), weight.values.const_data_ptr<float>(), x.size(0),
                x.size(1), e, dtype, out.mutable_data_ptr());
    if (!recorder.recording()) return out;
    return recorder.Record(out, [x, weight, e, dtype](const at::Tensor& dy) -> Tensors {
      at::Tensor dx = at::empty(x.sizes(), at::kFloat);
      RmsNormRowsBackward(x.const_data_ptr<float>(), weight.values.const_data_ptr<float>(),
                          dy.contiguous().const_data_ptr(), x.size(0), x.size(1), e, dtype,
                          dx.mutable_data_ptr<float>(), GradOrNull(weight));
      return {dx};
    });
  }

  at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight) const override {
    GradientRecorder recorder({x});
    const at::Tensor low = LowRank(x, weight);
    const at::Tensor out = LinearForward(x, low, weight);
    if (!recorder.recording()) return out;
    return recorder.Record(out,
                           [x, low, weight = ForBackward(weight)](const at::Tensor& dy) -> Tensors {
                             return {LinearBackward(x, low, *weight, dy.contiguous())};
                           });
  }

  at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x,
                       const LinearWeight& weight) const override {
    GradientRecorder recorder({residual, x});
    // The backward of RmsNorm keeps the residual stream that it read, so it must not change while a
    // graph exists. Without one, adding in place saves a copy of the stream a layer.
    const at::Tensor out = recorder.recording() ? Copied(residual) : residual;
    const at::Tensor low = LowRank(x, weight);
    AddLinearForward(x, low, weight, out);
    if (!recorder.recording()) return out;
    return recorder.Record(out,
                           [x, low, weight = ForBackward(weight)](const at::Tensor& dy) -> Tensors {
                             const at::Tensor d = dy.contiguous();
                             // The residual's gradient passes through unrounded; only the branch
                             // works in the model's dtype.
                             return {d, LinearBackward(x, low, *weight, Rounded(d, DtypeOf(x)))};
                           });
  }

  at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                      int64_t heads, int64_t kv_heads, int64_t dim, double eps) const override {
    GradientRecorder recorder({qkv});
    const float e = static_cast<float>(eps);
    const at::Tensor out = recorder.recording() ? Copied(qkv) : qkv;
    auto forward = [&](const TableWeight& weight, int64_t first, int64_t count) {
      HeadNormRows(HeadOf(out, first, dim), out.size(0), count, dim, out.size(1),
                   weight.values.const_data_ptr<float>(), e, DtypeOf(out));
    };
    forward(query, 0, heads);
    forward(key, heads, kv_heads);
    if (!recorder.recording()) return out;
    return recorder.Record(
        out, [qkv, query, key, heads, kv_heads, dim, e](const at::Tensor& dy) -> Tensors {
          // Cloned because HeadNormRowsBackward works in place and autograd may give the same dy to
          // others. The values' part of it is the gradient already.
          const at::Tensor d = Copied(dy.contiguous());
          auto backward = [&](const TableWeight& weight, int64_t first, int64_t count) {
            HeadNormRowsBackward(HeadOf(qkv, first, dim), HeadOf(d, first, dim), qkv.size(0), count,
                                 dim, qkv.size(1), weight.values.const_data_ptr<float>(), e,
                                 DtypeOf(qkv), GradOrNull(weight));
          };
          backward(query, 0, heads);
          backward(key, heads, kv_heads);
          return {d};
        });
  }

  at::Tensor RopeTable(const at::Tensor& positions, const at::Tensor& frequency,
                       double magnitude) const override {
    at::Tensor out = at::empty({positions.size(0), 2 * frequency.size(0)}, at::kFloat);
    RopeTableRows(positions.const_data_ptr<int32_t>(), out.size(0), out.size(1),
                  frequency.const_data_ptr<float>(), static_cast<float>(magnitude),
                  out.mutable_data_ptr<float>());
    return out;
  }

  at::Tensor Rope(const at::Tensor& x, const at::Tensor& table, int64_t heads,
                  int64_t dim) const override {
    GradientRecorder recorder({x});
    const at::Tensor out = recorder.recording() ? Copied(x) : x;
    Rotate(out, table, heads, dim, /*inverse=*/false);
    if (!recorder.recording()) return out;
    return recorder.Record(out, [table, heads, dim](const at::Tensor& dy) -> Tensors {
      // The rotation is orthogonal, so its transpose is the rotation by the opposite angle.
      const at::Tensor dx = Copied(dy.contiguous());
      Rotate(dx, table, heads, dim, /*inverse=*/true);
      return {dx};
    });
  }

  at::Tensor SwiGlu(const at::Tensor& gate_up) const override {
    GradientRecorder recorder({gate_up});
    const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
    const Dtype dtype = DtypeOf(gate_up);
    at::Tensor out = at::empty({rows, n}, gate_up.scalar_type());
    SwiGluRows(gate_up.const_data_ptr(), rows, n, dtype, out.mutable_data_ptr());
    if (!recorder.recording()) return out;
    return recorder.Record(out, [gate_up, rows, n, dtype](const at::Tensor& dy) -> Tensors {
      at::Tensor dx = at::empty(gate_up.sizes(), gate_up.scalar_type());
      SwiGluRowsBackward(gate_up.const_data_ptr(), dy.contiguous().const_data_ptr(), rows, n, dtype,
                         dx.mutable_data_ptr());
      return {dx};
    });
  }

  at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head) const override {
    at::Tensor out = at::empty({hidden.size(0), head.forward.n()}, at::kFloat);
    Gemm(hidden.const_data_ptr(), hidden.size(0), hidden.stride(0), head.forward,
         out.mutable_data_ptr(), out.size(1), OutputMode::kFp32);
    MaskColumns(head, out.size(0), out.size(1), out.mutable_data_ptr<float>());
    return out;
  }

  at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                         const at::Tensor& targets, double temperature) const override {
    // With the head's leaf as an input, the head is trained even where the hidden states are not.
    GradientRecorder recorder({hidden, head.parts.empty() ? at::Tensor() : head.parts[0]});
    const float scale = static_cast<float>(InverseTemperature(temperature));
    if (!recorder.recording()) return LogProbForward(hidden, head, targets, scale, nullptr);
    HeadRows kept;
    const at::Tensor out = LogProbForward(hidden, head, targets, scale, &kept);
    return recorder.Record(
        out,
        [hidden, head, targets, scale, kept = std::move(kept)](const at::Tensor& d) -> Tensors {
          return {LogProbBackward(hidden, head, targets, scale, kept, d.contiguous()),
                  at::Tensor()};
        });
  }
};

}  // namespace

const Ops& CpuOps() {
  static const CpuKernels ops;
  return ops;
}

}  // namespace reckon
