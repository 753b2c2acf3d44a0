#include "common/model/ops/ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstring>

#include "common/model/ops/backward.h"
#include "common/model/ops/rows.h"
#include "common/model/ops/softmax.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// A weight travels through an autograd context as a number: it outlives every graph that uses it.
template <typename T>
int64_t Handle(const T& weight) {
  return reinterpret_cast<int64_t>(&weight);
}
template <typename T>
const T& FromHandle(const c10::IValue& value) {
  return *reinterpret_cast<const T*>(value.toInt());
}

bool Records(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

at::Tensor Empty(at::IntArrayRef sizes, at::ScalarType type) { return at::empty(sizes, type); }

// Head `head` of the first row.
void* HeadOf(const at::Tensor& x, int64_t head, int64_t dim) {
  return static_cast<char*>(x.mutable_data_ptr()) + head * dim * x.element_size();
}

at::Tensor EmbedForward(const at::Tensor& tokens, const TableWeight& table) {
  int64_t rows = tokens.size(0), n = table.values.size(1);
  at::Tensor out = Empty({rows, n}, at::kFloat);
  const int32_t* ids = tokens.const_data_ptr<int32_t>();
  float* to = out.mutable_data_ptr<float>();
  if (table.values.scalar_type() == at::kBFloat16) {
    const auto* from = static_cast<const uint16_t*>(table.values.const_data_ptr());
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < n; ++j) to[i * n + j] = FromBf16(from[ids[i] * n + j]);
    }
  } else {
    const float* from = table.values.const_data_ptr<float>();
    for (int64_t i = 0; i < rows; ++i) {
      std::memcpy(to + i * n, from + ids[i] * n, n * sizeof(float));
    }
  }
  return out;
}

struct EmbedFunction : Function<EmbedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& leaf, const at::Tensor& tokens,
                            const TableWeight* table) {
    ctx->saved_data["table"] = Handle(*table);
    ctx->save_for_backward({tokens});
    return EmbedForward(tokens, *table);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& table = FromHandle<TableWeight>(ctx->saved_data["table"]);
    AddRows(grads[0].contiguous(), ctx->get_saved_variables()[0], GradOf(table.leaf));
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor RmsNormForward(const at::Tensor& x, const TableWeight& weight, double eps,
                          Element element) {
  at::Tensor out = Empty(x.sizes(), ScalarOf(element));
  RmsNormRows(x.const_data_ptr<float>(), weight.values.const_data_ptr<float>(), x.size(0),
              x.size(1), static_cast<float>(eps), element, out.mutable_data_ptr());
  return out;
}

struct RmsNormFunction : Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const TableWeight* weight,
                            double eps, int64_t element) {
    ctx->saved_data["weight"] = Handle(*weight);
    ctx->saved_data["eps"] = eps;
    ctx->save_for_backward({x});
    return RmsNormForward(x, *weight, eps, static_cast<Element>(element));
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& weight = FromHandle<TableWeight>(ctx->saved_data["weight"]);
    at::Tensor dx = RmsNormBackward(ctx->get_saved_variables()[0], weight,
                                    ctx->saved_data["eps"].toDouble(), grads[0].contiguous());
    return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor LinearForward(const at::Tensor& x, const LinearWeight& weight) {
  const int64_t rows = x.size(0), n = weight.forward.n();
  if (!weight.bias.defined()) {
    at::Tensor out = Empty({rows, n}, x.scalar_type());
    Gemm(x.const_data_ptr(), rows, x.stride(0), weight.forward, out.mutable_data_ptr(), n,
         weight.forward.element() == Element::kBf16 ? Store::kBf16 : Store::kFp32);
    return out;
  }
  // The bias is added before anything is rounded.
  at::Tensor out = weight.bias.expand({rows, n}).clone(at::MemoryFormat::Contiguous);
  Gemm(x.const_data_ptr(), rows, x.stride(0), weight.forward, out.mutable_data_ptr(), n,
       Store::kAddFp32);
  return out.to(x.scalar_type());
}

struct LinearFunction : Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const LinearWeight* weight) {
    ctx->saved_data["weight"] = Handle(*weight);
    ctx->save_for_backward({x});
    return LinearForward(x, *weight);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& weight = FromHandle<LinearWeight>(ctx->saved_data["weight"]);
    at::Tensor dx = LinearBackward(ctx->get_saved_variables()[0], weight, grads[0].contiguous());
    return {dx, at::Tensor()};
  }
};

void AddLinearForward(const at::Tensor& out, const at::Tensor& x, const LinearWeight& weight) {
  Gemm(x.const_data_ptr(), x.size(0), x.stride(0), weight.forward, out.mutable_data_ptr(),
       out.size(1), Store::kAddFp32);
}

struct AddLinearFunction : Function<AddLinearFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& residual, const at::Tensor& x,
                            const LinearWeight* weight) {
    ctx->saved_data["weight"] = Handle(*weight);
    ctx->save_for_backward({x});
    at::Tensor out = residual.clone();
    AddLinearForward(out, x, *weight);
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& weight = FromHandle<LinearWeight>(ctx->saved_data["weight"]);
    at::Tensor x = ctx->get_saved_variables()[0];
    at::Tensor dy = grads[0].contiguous();
    return {dy, LinearBackward(x, weight, dy.to(x.scalar_type())), at::Tensor()};
  }
};

void HeadNormInPlace(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                     int64_t heads, int64_t kv_heads, int64_t dim, double eps) {
  const float e = static_cast<float>(eps);
  HeadNormRows(HeadOf(qkv, 0, dim), qkv.size(0), heads, dim, qkv.size(1),
               query.values.const_data_ptr<float>(), e, ElementOf(qkv));
  HeadNormRows(HeadOf(qkv, heads, dim), qkv.size(0), kv_heads, dim, qkv.size(1),
               key.values.const_data_ptr<float>(), e, ElementOf(qkv));
}

struct HeadNormFunction : Function<HeadNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const TableWeight* query,
                            const TableWeight* key, int64_t heads, int64_t kv_heads, int64_t dim,
                            double eps) {
    ctx->saved_data["query"] = Handle(*query);
    ctx->saved_data["key"] = Handle(*key);
    ctx->saved_data["shape"] = std::vector<int64_t>{heads, kv_heads, dim};
    ctx->saved_data["eps"] = eps;
    ctx->save_for_backward({qkv});
    at::Tensor out = qkv.clone();
    HeadNormInPlace(out, *query, *key, heads, kv_heads, dim, eps);
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor qkv = ctx->get_saved_variables()[0];
    const auto shape = ctx->saved_data["shape"].toIntVector();
    const int64_t heads = shape[0], kv_heads = shape[1], dim = shape[2];
    const float eps = static_cast<float>(ctx->saved_data["eps"].toDouble());
    at::Tensor d = grads[0].clone(at::MemoryFormat::Contiguous);
    auto backward = [&](const TableWeight& weight, int64_t first, int64_t count) {
      float* dweight =
          weight.leaf.defined() ? GradOf(weight.leaf).mutable_data_ptr<float>() : nullptr;
      HeadNormRowsBackward(HeadOf(qkv, first, dim), HeadOf(d, first, dim), qkv.size(0), count, dim,
                           qkv.size(1), weight.values.const_data_ptr<float>(), eps, ElementOf(qkv),
                           dweight);
    };
    backward(FromHandle<TableWeight>(ctx->saved_data["query"]), 0, heads);
    backward(FromHandle<TableWeight>(ctx->saved_data["key"]), heads, kv_heads);
    return {d, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

void RopeInPlace(const at::Tensor& x, const at::Tensor& positions, int64_t heads, int64_t dim,
                 const at::Tensor& frequency, bool inverse) {
  RopeRows(x.mutable_data_ptr(), positions.const_data_ptr<int32_t>(), x.size(0), heads, dim,
           x.stride(0), frequency.const_data_ptr<float>(), inverse, ElementOf(x));
}

struct RopeFunction : Function<RopeFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& positions,
                            int64_t heads, int64_t dim, const at::Tensor& frequency) {
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["dim"] = dim;
    ctx->save_for_backward({positions, frequency});
    at::Tensor out = x.clone();
    RopeInPlace(out, positions, heads, dim, frequency, false);
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    at::Tensor dx = grads[0].clone(at::MemoryFormat::Contiguous);
    const auto saved = ctx->get_saved_variables();
    RopeInPlace(dx, saved[0], ctx->saved_data["heads"].toInt(), ctx->saved_data["dim"].toInt(),
                saved[1], true);
    return {dx, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor SwiGluForward(const at::Tensor& gate_up) {
  int64_t n = gate_up.size(1) / 2;
  at::Tensor out = Empty({gate_up.size(0), n}, gate_up.scalar_type());
  SwiGluRows(gate_up.const_data_ptr(), gate_up.size(0), n, ElementOf(gate_up),
             out.mutable_data_ptr());
  return out;
}

struct SwiGluFunction : Function<SwiGluFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    ctx->save_for_backward({gate_up});
    return SwiGluForward(gate_up);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {SwiGluBackward(ctx->get_saved_variables()[0], grads[0].contiguous())};
  }
};

struct HeadLogProbFunction : Function<HeadLogProbFunction> {
  // `leaf`, the head's parameter if it is trained, makes the result differentiable where the hidden
  // states are not.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& leaf,
                            const at::Tensor& targets, const LinearWeight* head, double scale) {
    at::Tensor lse = Empty({hidden.size(0)}, at::kFloat);
    at::Tensor out = HeadForward(hidden, *head, targets, scale, lse);
    ctx->saved_data["head"] = Handle(*head);
    ctx->saved_data["scale"] = scale;
    ctx->save_for_backward({hidden, targets, lse});
    return out;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const auto& head = FromHandle<LinearWeight>(ctx->saved_data["head"]);
    at::Tensor dx = HeadBackward(saved[0], head, saved[1], ctx->saved_data["scale"].toDouble(),
                                 saved[2], grads[0].contiguous());
    return {dx, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Element ElementOf(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? Element::kBf16 : Element::kFp32;
}

at::ScalarType ScalarOf(Element element) {
  return element == Element::kBf16 ? at::kBFloat16 : at::kFloat;
}

at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table) {
  if (table.leaf.defined() && Records(table.leaf)) {
    return EmbedFunction::apply(table.leaf, tokens, &table);
  }
  return EmbedForward(tokens, table);
}

at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Element element) {
  if (Records(x)) {
    return RmsNormFunction::apply(x, &weight, eps, static_cast<int64_t>(element));
  }
  return RmsNormForward(x, weight, eps, element);
}

at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight) {
  return Records(x) ? LinearFunction::apply(x, &weight) : LinearForward(x, weight);
}

at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x, const LinearWeight& weight) {
  if (Records(residual) || Records(x)) return AddLinearFunction::apply(residual, x, &weight);
  AddLinearForward(residual, x, weight);
  return residual;
}

at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                    int64_t heads, int64_t kv_heads, int64_t dim, double eps) {
  if (Records(qkv)) {
    return HeadNormFunction::apply(qkv, &query, &key, heads, kv_heads, dim, eps);
  }
  HeadNormInPlace(qkv, query, key, heads, kv_heads, dim, eps);
  return qkv;
}

at::Tensor Rope(const at::Tensor& x, const at::Tensor& positions, int64_t heads, int64_t dim,
                const at::Tensor& frequency) {
  if (Records(x)) return RopeFunction::apply(x, positions, heads, dim, frequency);
  RopeInPlace(x, positions, heads, dim, frequency, false);
  return x;
}

at::Tensor SwiGlu(const at::Tensor& gate_up) {
  return Records(gate_up) ? SwiGluFunction::apply(gate_up) : SwiGluForward(gate_up);
}

at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double temperature) {
  double scale = temperature > 0 ? 1.0 / temperature : 1.0;
  const at::Tensor& leaf = head.trainable() ? head.parts[0] : hidden;
  if (Records(hidden) || Records(leaf)) {
    return HeadLogProbFunction::apply(hidden, leaf, targets, &head, scale);
  }
  at::Tensor lse = Empty({hidden.size(0)}, at::kFloat);
  return HeadForward(hidden, head, targets, scale, lse);
}

at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head) {
  at::Tensor out = Empty({hidden.size(0), head.forward.n()}, at::kFloat);
  Gemm(hidden.const_data_ptr(), hidden.size(0), hidden.stride(0), head.forward,
       out.mutable_data_ptr(), out.size(1), Store::kFp32);
  return out;
}

float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch) {
  *max = scale * MaxOf(logits, n);
  ExpShifted(logits, n, scale, *max, scratch);
  *sum = SumFixed(scratch, n);
  return *max + std::log(*sum);
}

}  // namespace reckon
