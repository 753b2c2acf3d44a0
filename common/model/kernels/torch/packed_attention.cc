#include "common/model/kernels/torch/packed_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <utility>

namespace reckon {
namespace {

class TorchPacked : public AttentionSource {
 public:
  TorchPacked(const ModelConfig& config, RowSegments segments)
      : heads_(config.num_heads),
        kv_heads_(config.num_kv_heads),
        dim_(config.head_dim),
        segments_(std::move(segments)) {}

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    std::vector<at::Tensor> out;
    for (int64_t s = 0; s < segments_.size(); ++s) {
      const int64_t stem = segments_.after[s];
      const at::Tensor own = Rows(qkv, s);
      if (own.size(0) == 0) continue;
      const at::Tensor all =
          stem == RowSegments::kNoSegment ? own : at::cat({Rows(qkv, stem), own});
      // [1, heads, time, dim]
      const at::Tensor rows = all.view({1, -1, heads_ + 2 * kv_heads_, dim_}).transpose(1, 2);
      const at::Tensor mixed = at::scaled_dot_product_attention(
          rows.narrow(1, 0, heads_), rows.narrow(1, heads_, kv_heads_),
          rows.narrow(1, heads_ + kv_heads_, kv_heads_), /*attn_mask=*/{}, /*dropout_p=*/0,
          /*is_causal=*/true, /*scale=*/{}, /*enable_gqa=*/heads_ != kv_heads_);
      out.push_back(mixed.transpose(1, 2)
                        .reshape({-1, heads_ * dim_})
                        .narrow(0, all.size(0) - own.size(0), own.size(0)));
    }
    return at::cat(out);
  }

 private:
  at::Tensor Rows(const at::Tensor& qkv, int64_t segment) const {
    return qkv.narrow(0, segments_.starts[segment], segments_.Count(segment));
  }

  const int64_t heads_, kv_heads_, dim_;
  const RowSegments segments_;
};

}  // namespace

std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments) {
  return std::make_shared<TorchPacked>(config, std::move(segments));
}

}  // namespace reckon
