#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "common/model/kv_pages.h"
#include "common/model/ops/ops.h"
#include "common/model/ops/thread_pool.h"
#include "common/model/transformer.h"

namespace reckon {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Adds up the query heads that share a kv head: [heads, time, dim] -> [kv_heads, time, dim].
at::Tensor SumGroups(const at::Tensor& x, int64_t kv_heads) {
  return x.view({kv_heads, -1, x.size(1), x.size(2)}).sum(1);
}

// Gradients of one sequence's attention, in fp32. Everything [time, heads, dim] on the outside.
void SequenceBackward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const at::Tensor& d_out, const at::Tensor& dq, const at::Tensor& dk,
                      const at::Tensor& dv) {
  const int64_t time = q.size(0), heads = q.size(1), kv_heads = k.size(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
  auto by_head = [](const at::Tensor& x) {
    return x.to(at::kFloat).transpose(0, 1).contiguous();  // [heads, time, dim]
  };
  auto repeat = [&](const at::Tensor& x) { return x.repeat_interleave(heads / kv_heads, 0); };
  at::Tensor qh = by_head(q), kh = repeat(by_head(k)), vh = repeat(by_head(v));
  at::Tensor dh = by_head(d_out);
  at::Tensor mask = at::empty({time, time}, at::kBool).fill_(true).triu_(1);
  at::Tensor scores = at::bmm(qh, kh.transpose(1, 2)).mul_(scale);
  scores.masked_fill_(mask, -INFINITY);
  at::Tensor p = at::softmax(scores, -1);  // [heads, time, time]
  at::Tensor dp = at::bmm(dh, vh.transpose(1, 2));
  at::Tensor ds = p * (dp - (dp * p).sum(-1, true));
  ds.mul_(scale);
  dq.copy_(at::bmm(ds, kh).transpose(0, 1));
  dk.copy_(SumGroups(at::bmm(ds.transpose(1, 2), qh), kv_heads).transpose(0, 1));
  dv.copy_(SumGroups(at::bmm(p.transpose(1, 2), dh), kv_heads).transpose(0, 1));
}

class Packed : public AttentionSource {
 public:
  Packed(const ModelConfig& config, std::vector<int64_t> starts)
      : config_(config), starts_(std::move(starts)) {
    int64_t page = 0;
    for (size_t s = 0; s + 1 < starts_.size(); ++s) {
      int64_t length = starts_[s + 1] - starts_[s];
      std::vector<int64_t> pages;
      for (int64_t t = 0; t < length; t += kPageTokens) pages.push_back(page++);
      pages_of_.push_back(std::move(pages));
    }
    total_pages_ = page;
    for (size_t s = 0; s + 1 < starts_.size(); ++s) {
      for (int64_t t = 0; t < starts_[s + 1] - starts_[s]; ++t) {
        rows_.push_back({&pages_of_[s], t});
      }
    }
  }

  at::Tensor Attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                    const at::Tensor& v) override;

  at::Tensor Forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    // One layer's pages, written anew for each layer.
    if (memory_ == nullptr) {
      memory_ = std::make_unique<KvPages>(config_, ElementOf(q), 1, total_pages_);
    }
    return AttendPages(*memory_, 0, rows_, q, k, v);
  }

  const std::vector<int64_t>& starts() const { return starts_; }

 private:
  const ModelConfig config_;
  const std::vector<int64_t> starts_;
  std::vector<std::vector<int64_t>> pages_of_;
  int64_t total_pages_ = 0;
  std::vector<KvRow> rows_;
  std::unique_ptr<KvPages> memory_;
};

struct PackedFunction : Function<PackedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, Packed* packed) {
    ctx->saved_data["starts"] = packed->starts();
    ctx->save_for_backward({q, k, v});
    return packed->Forward(q, k, v);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    auto starts = ctx->saved_data["starts"].toIntVector();
    at::Tensor d_out = grads[0].contiguous().view(q.sizes());
    at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options());
    at::Tensor dv = at::empty(v.sizes(), v.options());
    ParallelFor(static_cast<int64_t>(starts.size()) - 1, [&](int64_t s) {
      at::NoGradGuard no_grad;
      at::set_num_threads(1);  // of this thread: the sequences are what runs in parallel
      auto part = [&](const at::Tensor& x) {
        return x.narrow(0, starts[s], starts[s + 1] - starts[s]);
      };
      SequenceBackward(part(q), part(k), part(v), part(d_out), part(dq), part(dk), part(dv));
    });
    return {dq, dk, dv, at::Tensor()};
  }
};

at::Tensor Packed::Attend(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v) {
  if (at::GradMode::is_enabled() && q.requires_grad()) return PackedFunction::apply(q, k, v, this);
  return Forward(q, k, v);
}

}  // namespace

std::unique_ptr<AttentionSource> PackedAttention(const ModelConfig& config,
                                                 std::vector<int64_t> starts) {
  return std::make_unique<Packed>(config, std::move(starts));
}

}  // namespace reckon
