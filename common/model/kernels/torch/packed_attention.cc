#include "common/model/kernels/torch/packed_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <utility>

namespace reckon {
namespace {

class TorchPacked : public AttentionSource {
 public:
  TorchPacked(const ModelConfig& config, std::vector<int64_t> starts)
      : heads_(config.num_heads),
        kv_heads_(config.num_kv_heads),
        dim_(config.head_dim),
        starts_(std::move(starts)) {}

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    std::vector<at::Tensor> out;
    for (size_t s = 0; s + 1 < starts_.size(); ++s) {
      // [1, heads, time, dim]
      const at::Tensor rows = qkv.narrow(0, starts_[s], starts_[s + 1] - starts_[s])
                                  .view({1, -1, heads_ + 2 * kv_heads_, dim_})
                                  .transpose(1, 2);
      const at::Tensor mixed = at::scaled_dot_product_attention(
          rows.narrow(1, 0, heads_), rows.narrow(1, heads_, kv_heads_),
          rows.narrow(1, heads_ + kv_heads_, kv_heads_), /*attn_mask=*/{}, /*dropout_p=*/0,
          /*is_causal=*/true, /*scale=*/{}, /*enable_gqa=*/heads_ != kv_heads_);
      out.push_back(mixed.transpose(1, 2).reshape({-1, heads_ * dim_}));
    }
    return at::cat(out);
  }

 private:
  const int64_t heads_, kv_heads_, dim_;
  const std::vector<int64_t> starts_;
};

}  // namespace

std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      std::vector<int64_t> starts) {
  return std::make_shared<TorchPacked>(config, std::move(starts));
}

}  // namespace reckon
