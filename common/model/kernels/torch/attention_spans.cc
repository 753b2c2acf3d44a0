#include "common/model/kernels/torch/attention_spans.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "common/model/device_memory.h"

namespace reckon {
namespace {

bool HasFlash(const at::Tensor& q) { return q.is_cuda() && q.scalar_type() == at::kBFloat16; }

// One span in fp32, a matrix for each kv head: the query heads that read it are below one another.
//
//   scores = q k^T / sqrt(dim), -inf where a key comes after the query
//   out    = exp(scores - log_sum) v
struct Span {
  at::Tensor q;     // [kv heads, heads / kv heads * queries, dim]
  at::Tensor k, v;  // [kv heads, keys, dim]
  int64_t queries;
  double scale;

  at::Tensor Scores() const {
    at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale);
    const int64_t keys = k.size(1);
    const at::Tensor later =
        at::ones({queries, keys}, q.options().dtype(at::kBool)).triu_(keys - queries + 1);
    scores.view({k.size(0), -1, queries, keys})
        .masked_fill_(later, -std::numeric_limits<float>::infinity());
    return scores;
  }
};

// x [rows, heads, dim] as such matrices, and back.
at::Tensor ByKvHead(const at::Tensor& x, int64_t kv_heads) {
  return x.transpose(0, 1).to(at::kFloat).reshape({kv_heads, -1, x.size(2)});
}
at::Tensor ByRow(const at::Tensor& x, int64_t heads) {
  return x.reshape({heads, -1, x.size(2)}).transpose(0, 1);
}

at::Tensor RowsOf(const at::Tensor& x, const std::vector<int32_t>& begins, int64_t s) {
  return x.narrow(0, begins[s], begins[s + 1] - begins[s]);
}

Span SpanOf(const SpanRows& rows, const AttentionSpans& spans, int64_t s) {
  const int64_t kv_heads = rows.k.size(1);
  return {.q = ByKvHead(RowsOf(rows.q, spans.begins, s), kv_heads),
          .k = ByKvHead(RowsOf(rows.k, spans.key_begins, s), kv_heads),
          .v = ByKvHead(RowsOf(rows.v, spans.key_begins, s), kv_heads),
          .queries = spans.begins[s + 1] - spans.begins[s],
          .scale = 1 / std::sqrt(static_cast<double>(rows.q.size(2)))};
}

SpanAttention AttendEach(const SpanRows& rows, const AttentionSpans& spans) {
  const int64_t heads = rows.q.size(1);
  SpanAttention out;
  out.out = at::empty_like(rows.q, rows.q.options(), at::MemoryFormat::Contiguous);
  out.log_sum = at::empty({heads, spans.queries()}, rows.q.options().dtype(at::kFloat));
  for (int64_t s = 0; s < spans.size(); ++s) {
    const Span span = SpanOf(rows, spans, s);
    at::Tensor scores = span.Scores();
    const at::Tensor log_sum = at::logsumexp(scores, {2}, /*keepdim=*/true);
    RowsOf(out.out, spans.begins, s)
        .copy_(ByRow(at::bmm(scores.sub_(log_sum).exp_(), span.v), heads));
    out.log_sum.narrow(1, spans.begins[s], span.queries).copy_(log_sum.view({heads, -1}));
  }
  return out;
}

SpanRows AttendEachBackward(const at::Tensor& d_out, const SpanRows& rows,
                            const SpanAttention& attention, const AttentionSpans& spans) {
  const int64_t heads = rows.q.size(1), kv_heads = rows.k.size(1);
  const auto like = [](const at::Tensor& x) {
    return at::empty_like(x, x.options(), at::MemoryFormat::Contiguous);
  };
  SpanRows d = {.q = like(rows.q), .k = like(rows.k), .v = like(rows.v)};
  for (int64_t s = 0; s < spans.size(); ++s) {
    const Span span = SpanOf(rows, spans, s);
    const at::Tensor d_o = ByKvHead(RowsOf(d_out, spans.begins, s), kv_heads);
    const at::Tensor o = ByKvHead(RowsOf(attention.out, spans.begins, s), kv_heads);
    const at::Tensor log_sum =
        attention.log_sum.narrow(1, spans.begins[s], span.queries).reshape({kv_heads, -1, 1});
    const at::Tensor weights = span.Scores().sub_(log_sum).exp_();
    // d scores = weights * (d weights - sum over the keys of weights * d weights), and that sum is
    // d_out . out.
    const at::Tensor d_scores = at::bmm(d_o, span.v.transpose(1, 2))
                                    .sub_(at::mul(d_o, o).sum({2}, /*keepdim=*/true))
                                    .mul_(weights)
                                    .mul_(span.scale);
    RowsOf(d.q, spans.begins, s).copy_(ByRow(at::bmm(d_scores, span.k), heads));
    RowsOf(d.k, spans.key_begins, s)
        .copy_(ByRow(at::bmm(d_scores.transpose(1, 2), span.q), kv_heads));
    RowsOf(d.v, spans.key_begins, s).copy_(ByRow(at::bmm(weights.transpose(1, 2), d_o), kv_heads));
  }
  return d;
}

}  // namespace

void AttentionSpans::Add(int64_t queries, int64_t keys) {
  begins.push_back(static_cast<int32_t>(begins.back() + queries));
  key_begins.push_back(static_cast<int32_t>(key_begins.back() + keys));
  most_queries = std::max(most_queries, queries);
  most_keys = std::max(most_keys, keys);
}

SpansOnDevice ToDevice(const AttentionSpans& spans, at::Device device) {
  const auto ints = at::TensorOptions(at::kInt);
  return {.spans = spans,
          .begins = SendToDevice(at::tensor(spans.begins, ints), device),
          .key_begins = SendToDevice(at::tensor(spans.key_begins, ints), device)};
}

SpanAttention AttendSpans(const SpanRows& rows, const SpansOnDevice& on_device) {
  const AttentionSpans& spans = on_device.spans;
  if (!HasFlash(rows.q)) return AttendEach(rows, spans);
  auto [out, log_sum, random, state, mask] = at::_flash_attention_forward(
      rows.q, rows.k, rows.v, on_device.begins, on_device.key_begins, spans.most_queries,
      spans.most_keys, /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false);
  return {std::move(out), std::move(log_sum), std::move(random), std::move(state)};
}

SpanRows AttendSpansBackward(const at::Tensor& d_out, const SpanRows& rows,
                             const SpanAttention& attention, const SpansOnDevice& on_device) {
  const AttentionSpans& spans = on_device.spans;
  if (!HasFlash(rows.q)) return AttendEachBackward(d_out, rows, attention, spans);
  auto [d_q, d_k, d_v] = at::_flash_attention_backward(
      d_out, rows.q, rows.k, rows.v, attention.out, attention.log_sum, on_device.begins,
      on_device.key_begins, spans.most_queries, spans.most_keys, /*dropout_p=*/0,
      /*is_causal=*/true, attention.random, attention.state);
  return {std::move(d_q), std::move(d_k), std::move(d_v)};
}

}  // namespace reckon
