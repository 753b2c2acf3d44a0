#include "common/model/ops/device_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "common/model/ops/backward.h"

namespace reckon::device {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Rows whose logits are held at once.
constexpr int64_t kHeadRows = 256;

// As in ops.cc: a weight outlives every graph that uses it.
template <typename T>
int64_t Handle(const T& weight) {
  return reinterpret_cast<int64_t>(&weight);
}
template <typename T>
const T& FromHandle(const c10::IValue& value) {
  return *reinterpret_cast<const T*>(value.toInt());
}

bool Records(const at::Tensor& x) {
  return at::GradMode::is_enabled() && x.defined() && x.requires_grad();
}

// a * b in fp32. A GPU multiplies bf16 into fp32 by itself; on the CPU both are widened first.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_cuda() && a.scalar_type() != at::kFloat) return at::mm(a, b, at::kFloat);
  return at::mm(a.to(at::kFloat), b.to(at::kFloat));
}

// The parts' gradients += dy^T x.
void AddWeightGrad(const std::vector<at::Tensor>& parts, const at::Tensor& x,
                   const at::Tensor& dy) {
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    GradOf(part).add_(Product(dy.narrow(1, first, part.size(0)).t(), x));
    first += part.size(0);
  }
}

void AddAdapterGrads(const std::vector<Adapter>& adapters, const at::Tensor& x,
                     const at::Tensor& dy) {
  int64_t first = 0;
  for (const Adapter& adapter : adapters) {
    const at::Tensor part = dy.narrow(1, first, adapter.b.size(0));
    const at::Tensor a = adapter.a.detach().mul(adapter.scale).to(x.scalar_type());
    const at::Tensor b = adapter.b.detach().mul(adapter.scale).to(x.scalar_type());
    GradOf(adapter.b).add_(Product(part.t(), at::mm(x, a.t())));
    GradOf(adapter.a).add_(Product(at::mm(part, b).t(), x));
    first += part.size(1);
  }
}

at::Tensor LinearForward(const at::Tensor& x, const LinearWeight& weight) {
  at::Tensor out = Product(x, weight.device_weight.t());
  return weight.bias.defined() ? out.add_(weight.bias) : out;
}

// x * W in fp32.
struct LinearFunction : Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const LinearWeight* weight) {
    ctx->saved_data["weight"] = Handle(*weight);
    ctx->save_for_backward({x});
    return LinearForward(x, *weight);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& weight = FromHandle<LinearWeight>(ctx->saved_data["weight"]);
    const at::Tensor x = ctx->get_saved_variables()[0];
    const at::Tensor dy = grads[0].to(x.scalar_type());
    AddWeightGrad(weight.parts, x, dy);
    AddAdapterGrads(weight.adapters, x, dy);
    int64_t first = 0;
    for (const at::Tensor& part : weight.bias_parts) {
      GradOf(part).add_(dy.narrow(1, first, part.size(0)).to(at::kFloat).sum(0));
      first += part.size(0);
    }
    return {at::mm(dy, weight.device_weight), at::Tensor()};
  }
};

at::Tensor LinearFp32(const at::Tensor& x, const LinearWeight& weight) {
  return Records(x) ? LinearFunction::apply(x, &weight) : LinearForward(x, weight);
}

struct EmbedFunction : Function<EmbedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& leaf, const at::Tensor& tokens,
                            const TableWeight* table) {
    ctx->saved_data["table"] = Handle(*table);
    ctx->save_for_backward({tokens});
    return at::embedding(table->values, tokens).to(at::kFloat);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& table = FromHandle<TableWeight>(ctx->saved_data["table"]);
    // Sorts on a GPU, where index_add would sum in any order.
    GradOf(table.leaf)
        .index_put_({ctx->get_saved_variables()[0].to(at::kLong)}, grads[0],
                    /*accumulate=*/true);
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// A table's values as a function of its leaf: rounding has slope one.
struct ValuesFunction : Function<ValuesFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& leaf,
                            const TableWeight* table) {
    ctx->saved_data["table"] = Handle(*table);
    return table->values.detach();
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    GradOf(FromHandle<TableWeight>(ctx->saved_data["table"]).leaf).add_(grads[0]);
    return {at::Tensor(), at::Tensor()};
  }
};

at::Tensor Values(const TableWeight& table) {
  return Records(table.leaf) ? ValuesFunction::apply(table.leaf, &table) : table.values;
}

// Over the last dimension; x fp32.
at::Tensor Normalised(const at::Tensor& x, const TableWeight& weight, double eps) {
  return x * at::rsqrt(x.square().mean({-1}, /*keepdim=*/true) + eps) * Values(weight);
}

// Logits over the temperature of rows first .. first+count-1.
at::Tensor ScaledLogits(const at::Tensor& hidden, int64_t first, const LinearWeight& head,
                        double scale) {
  const int64_t count = std::min(kHeadRows, hidden.size(0) - first);
  return device::HeadLogits(hidden.narrow(0, first, count), head).mul_(scale);
}

at::Tensor LogProbForward(const at::Tensor& hidden, const LinearWeight& head,
                          const at::Tensor& targets, double scale) {
  at::Tensor out = at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  for (int64_t first = 0; first < hidden.size(0); first += kHeadRows) {
    const at::Tensor logprobs = at::log_softmax(ScaledLogits(hidden, first, head, scale), 1);
    const int64_t count = logprobs.size(0);
    const at::Tensor ids = targets.narrow(0, first, count).to(at::kLong).unsqueeze(1);
    out.narrow(0, first, count).copy_(logprobs.gather(1, ids).squeeze(1));
  }
  return out;
}

// Computes the logits again in the backward pass, chunk by chunk, rather than keep them.
struct LogProbFunction : Function<LogProbFunction> {
  // `leaf` as in ops.cc.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& leaf,
                            const at::Tensor& targets, const LinearWeight* head, double scale) {
    ctx->saved_data["head"] = Handle(*head);
    ctx->saved_data["scale"] = scale;
    ctx->save_for_backward({hidden, targets});
    return LogProbForward(hidden, *head, targets, scale);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &targets = saved[1];
    const auto& head = FromHandle<LinearWeight>(ctx->saved_data["head"]);
    const double scale = ctx->saved_data["scale"].toDouble();
    at::Tensor dx = at::empty(hidden.sizes(), hidden.options());
    for (int64_t first = 0; first < hidden.size(0); first += kHeadRows) {
      // d logits = g * scale * (onehot(target) - softmax).
      at::Tensor d = ScaledLogits(hidden, first, head, scale).softmax(1);
      const int64_t count = d.size(0);
      const at::Tensor ids = targets.narrow(0, first, count).to(at::kLong).unsqueeze(1);
      const at::Tensor g = (grads[0].narrow(0, first, count) * scale).unsqueeze(1);
      d.mul_(-g).scatter_add_(1, ids, g);
      d = d.to(hidden.scalar_type());
      AddWeightGrad(head.parts, hidden.narrow(0, first, count), d);
      dx.narrow(0, first, count).copy_(at::mm(d, head.device_weight));
    }
    return {dx, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table) {
  if (Records(table.leaf)) return EmbedFunction::apply(table.leaf, tokens, &table);
  return at::embedding(table.values, tokens).to(at::kFloat);
}

at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Element element) {
  return Normalised(x, weight, eps).to(ScalarOf(element));
}

at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight) {
  return LinearFp32(x, weight).to(x.scalar_type());
}

at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x, const LinearWeight& weight) {
  return residual + LinearFp32(x, weight);
}

at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                    int64_t heads, int64_t kv_heads, int64_t dim, double eps) {
  const at::Tensor x = qkv.view({qkv.size(0), heads + 2 * kv_heads, dim});
  auto normed = [&](int64_t first, int64_t count, const TableWeight& weight) {
    return Normalised(x.narrow(1, first, count).to(at::kFloat), weight, eps).to(x.scalar_type());
  };
  return at::cat({normed(0, heads, query), normed(heads, kv_heads, key),
                  x.narrow(1, heads + kv_heads, kv_heads)},
                 1)
      .view(qkv.sizes());
}

at::Tensor Rope(const at::Tensor& x, const at::Tensor& positions, int64_t heads, int64_t dim,
                const at::Tensor& frequency) {
  const at::Tensor all = x.view({x.size(0), -1, dim});
  const at::Tensor angle = (positions.to(at::kFloat).unsqueeze(1) * frequency).unsqueeze(1);
  const at::Tensor sin = angle.sin(), cos = angle.cos();  // [rows, 1, dim / 2]
  const at::Tensor a = all.narrow(1, 0, heads).narrow(2, 0, dim / 2).to(at::kFloat);
  const at::Tensor b = all.narrow(1, 0, heads).narrow(2, dim / 2, dim / 2).to(at::kFloat);
  const at::Tensor turned = at::cat({a * cos - b * sin, b * cos + a * sin}, 2);
  return at::cat({turned.to(x.scalar_type()), all.narrow(1, heads, all.size(1) - heads)}, 1)
      .view(x.sizes());
}

at::Tensor SwiGlu(const at::Tensor& gate_up) {
  const int64_t n = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, n).to(at::kFloat);
  return (at::silu(gate) * gate_up.narrow(1, n, n)).to(gate_up.scalar_type());
}

at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double temperature) {
  const double scale = temperature > 0 ? 1.0 / temperature : 1.0;
  const at::Tensor& leaf = head.trainable() ? head.parts[0] : hidden;
  if (Records(hidden) || Records(leaf)) {
    return LogProbFunction::apply(hidden, leaf, targets, &head, scale);
  }
  return LogProbForward(hidden, head, targets, scale);
}

at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head) {
  return LinearForward(hidden, head);
}

}  // namespace reckon::device
