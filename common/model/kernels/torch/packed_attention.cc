#include "common/model/kernels/torch/packed_attention.h"

#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "common/model/device_memory.h"

namespace reckon {
namespace {

// Which rows attend to which, as a kernel for sequences of any length reads it: queries begins[s]
// .. begins[s+1]-1 attend to keys key_begins[s] .. key_begins[s+1]-1, of which the last
// begins[s+1] - begins[s] are their own (causal). Keys of a branch begin with its stem's rows.
struct Spans {
  std::vector<int32_t> begins = {0}, key_begins = {0};
  int64_t most_queries = 0, most_keys = 0;
  std::vector<int64_t> key_rows;  // the row of the pass that each key is of
  bool in_order = true;           // key_rows is 0, 1, 2, ...: no segment is a branch

  void Add(int64_t queries, int64_t keys) {
    begins.push_back(static_cast<int32_t>(begins.back() + queries));
    key_begins.push_back(static_cast<int32_t>(key_begins.back() + keys));
    most_queries = std::max(most_queries, queries);
    most_keys = std::max(most_keys, keys);
  }
  int64_t size() const { return static_cast<int64_t>(begins.size()) - 1; }
};

Spans SpansOf(const RowSegments& segments) {
  Spans out;
  for (int64_t s = 0; s < segments.size(); ++s) {
    if (segments.Count(s) == 0) continue;
    const auto add = [&](int64_t segment) {
      for (int64_t i = 0; i < segments.Count(segment); ++i) {
        out.key_rows.push_back(segments.starts[segment] + i);
      }
    };
    const int64_t stem = segments.after[s];
    if (stem != RowSegments::kNoSegment) {
      add(stem);
      out.in_order = false;
    }
    add(s);
    const int64_t before = stem == RowSegments::kNoSegment ? 0 : segments.Count(stem);
    out.Add(segments.Count(s), before + segments.Count(s));
  }
  return out;
}

// AttendSpans by one call for each span. For what the flash kernels have no form of: fp32, and the
// CPU, where tests compare the two backends through it.
at::Tensor AttendEach(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const Spans& spans) {
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < spans.size(); ++s) {
    // [1, heads, time, dim]
    const auto rows = [s](const at::Tensor& x, const std::vector<int32_t>& begins) {
      return x.narrow(0, begins[s], begins[s + 1] - begins[s]).transpose(0, 1).unsqueeze(0);
    };
    const at::Tensor queries = rows(q, spans.begins), keys = rows(k, spans.key_begins);
    const int64_t before = keys.size(2) - queries.size(2);
    std::optional<at::Tensor> mask;
    if (before > 0) {
      mask = at::ones({queries.size(2), keys.size(2)}, q.options().dtype(at::kBool)).tril(before);
    }
    out.push_back(at::scaled_dot_product_attention(queries, keys, rows(v, spans.key_begins), mask,
                                                   /*dropout_p=*/0,
                                                   /*is_causal=*/before == 0, /*scale=*/{},
                                                   /*enable_gqa=*/q.size(1) != k.size(1))
                      .squeeze(0)
                      .transpose(0, 1));
  }
  return at::cat(out);
}

// q [rows, heads, dim], k and v [keys, kv_heads, dim] -> [rows, heads, dim]. begins and key_begins
// are those of `spans` on the device.
at::Tensor AttendSpans(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const Spans& spans, const at::Tensor& begins, const at::Tensor& key_begins) {
  if (!q.is_cuda() || q.scalar_type() != at::kBFloat16) return AttendEach(q, k, v, spans);
  return std::get<0>(at::_flash_attention_forward(
      q, k, v, begins, key_begins, spans.most_queries, spans.most_keys,
      /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false));
}

class TorchPacked : public AttentionSource {
 public:
  TorchPacked(const ModelConfig& config, const RowSegments& segments)
      : heads_(config.num_heads),
        kv_heads_(config.num_kv_heads),
        dim_(config.head_dim),
        spans_(SpansOf(segments)) {}

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    if (!begins_.defined()) MoveSpans(qkv.device());
    const at::Tensor rows = qkv.view({qkv.size(0), heads_ + 2 * kv_heads_, dim_});
    at::Tensor kv = rows.narrow(1, heads_, 2 * kv_heads_);
    if (!spans_.in_order) kv = kv.index_select(0, key_rows_);
    const at::Tensor q = rows.narrow(1, 0, heads_);
    const at::Tensor k = kv.narrow(1, 0, kv_heads_), v = kv.narrow(1, kv_heads_, kv_heads_);
    const at::Tensor out = AttendSpans(q, k, v, spans_, begins_, key_begins_);
    return out.reshape({qkv.size(0), heads_ * dim_});
  }

 private:
  // Once a pass: all layers read them.
  void MoveSpans(at::Device device) {
    const auto ints = at::TensorOptions(at::kInt);
    begins_ = SendToDevice(at::tensor(spans_.begins, ints), device);
    key_begins_ = SendToDevice(at::tensor(spans_.key_begins, ints), device);
    if (!spans_.in_order) key_rows_ = SendToDevice(at::tensor(spans_.key_rows, at::kLong), device);
  }

  const int64_t heads_, kv_heads_, dim_;
  const Spans spans_;
  at::Tensor begins_, key_begins_;  // [spans + 1] int32
  at::Tensor key_rows_;             // [keys] int64
};

}  // namespace

std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments) {
  return std::make_shared<TorchPacked>(config, segments);
}

}  // namespace reckon
