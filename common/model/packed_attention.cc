#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "common/model/device_packed_attention.h"
#include "common/model/kv_pages.h"
#include "common/model/ops/attention_backward.h"
#include "common/model/ops/ops.h"
#include "common/model/ops/thread_pool.h"
#include "common/model/transformer.h"

namespace reckon {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

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

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override;

  at::Tensor Forward(const at::Tensor& qkv) {
    // One layer's pages, written anew for each layer.
    if (memory_ == nullptr) {
      memory_ = KvPages::Make(config_, ElementOf(qkv), 1, total_pages_, Backend::kOwn);
    }
    return memory_->Attend(0, rows_, qkv);
  }

  const ModelConfig& config() const { return config_; }
  const std::vector<int64_t>& starts() const { return starts_; }

 private:
  const ModelConfig config_;
  const std::vector<int64_t> starts_;
  std::vector<std::vector<int64_t>> pages_of_;
  int64_t total_pages_ = 0;
  std::vector<KvRow> rows_;
  std::unique_ptr<KvPages> memory_;
};

// d_qkv [rows, (heads + 2 kv heads) * dim] from qkv and d_out [rows, heads * dim].
at::Tensor Backward(const at::Tensor& qkv, const at::Tensor& d_out,
                    const std::vector<int64_t>& starts, int64_t heads, int64_t kv_heads) {
  const int64_t dim = qkv.size(1) / (heads + 2 * kv_heads), group = heads / kv_heads;
  at::Tensor d_qkv = at::empty(qkv.sizes(), qkv.scalar_type());
  const int64_t element = ElementOf(qkv) == Element::kBf16 ? 2 : 4;
  const auto* in = static_cast<const char*>(qkv.const_data_ptr());
  const auto* upstream = static_cast<const char*>(d_out.const_data_ptr());
  auto* out = static_cast<char*>(d_qkv.mutable_data_ptr());
  const int64_t sequences = static_cast<int64_t>(starts.size()) - 1;
  ParallelFor(sequences * kv_heads, [&](int64_t task) {
    const int64_t s = task / kv_heads, h = task % kv_heads;
    AttentionSlice slice = {.element = ElementOf(qkv),
                            .time = starts[s + 1] - starts[s],
                            .heads = group,
                            .dim = dim,
                            .stride = qkv.size(1),
                            .d_out_stride = d_out.size(1)};
    auto at = [&](auto* base, int64_t width, int64_t head) {
      return base + (starts[s] * width + head * dim) * element;
    };
    slice.q = at(in, slice.stride, h * group);
    slice.k = at(in, slice.stride, heads + h);
    slice.v = at(in, slice.stride, heads + kv_heads + h);
    slice.d_out = at(upstream, slice.d_out_stride, h * group);
    slice.dq = at(out, slice.stride, h * group);
    slice.dk = at(out, slice.stride, heads + h);
    slice.dv = at(out, slice.stride, heads + kv_heads + h);
    AttentionBackward(slice);
  });
  return d_qkv;
}

struct PackedFunction : Function<PackedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, Packed* packed) {
    ctx->saved_data["starts"] = packed->starts();
    ctx->saved_data["heads"] = packed->config().num_heads;
    ctx->saved_data["kv_heads"] = packed->config().num_kv_heads;
    ctx->save_for_backward({qkv});
    return packed->Forward(qkv);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    at::Tensor d_qkv =
        Backward(ctx->get_saved_variables()[0], grads[0].contiguous(),
                 ctx->saved_data["starts"].toIntVector(), ctx->saved_data["heads"].toInt(),
                 ctx->saved_data["kv_heads"].toInt());
    return {d_qkv, at::Tensor()};
  }
};

at::Tensor Packed::Attend(int64_t layer, const at::Tensor& qkv) {
  if (at::GradMode::is_enabled() && qkv.requires_grad()) return PackedFunction::apply(qkv, this);
  return Forward(qkv);
}

}  // namespace

std::unique_ptr<AttentionSource> PackedAttention(const ModelConfig& config,
                                                 std::vector<int64_t> starts, Backend backend) {
  if (backend != Backend::kOwn) return DevicePackedAttention(config, std::move(starts));
  return std::make_unique<Packed>(config, std::move(starts));
}

}  // namespace reckon
