#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_ATTENTION_SPANS_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_ATTENTION_SPANS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"

namespace reckon {

// Attention within spans of rows by LibTorch's kernels, forward and backward: span s has the
// queries begins[s] .. begins[s+1]-1 and the keys key_begins[s] .. key_begins[s+1]-1, of which the
// last begins[s+1] - begins[s] belong to the queries themselves. A query attends to the keys up to
// its own.
//
// In bf16 on a GPU one call of the flash kernels (Dao 2023) computes all spans. fp32, which they do
// not have, and the CPU, where tests compare the two backends, take a few products for each span
// and head, with memory for its queries times its keys.
struct AttentionSpans {
  std::vector<int32_t> begins = {0}, key_begins = {0};
  int64_t most_queries = 0, most_keys = 0;  // of a span

  void Add(int64_t queries, int64_t keys);
  int64_t size() const { return static_cast<int64_t>(begins.size()) - 1; }
  int64_t queries() const { return begins.back(); }
  int64_t keys() const { return key_begins.back(); }
};

// What the kernels read of spans, on the device of the rows.
struct SpansOnDevice {
  AttentionSpans spans;
  at::Tensor begins, key_begins;  // [spans + 1] int32
};
SpansOnDevice ToDevice(const AttentionSpans& spans, at::Device device);

// Queries of the spans, and what they attend to.
struct SpanRows {
  at::Tensor q;     // [queries, heads, dim]
  at::Tensor k, v;  // [keys, kv heads, dim]
};

struct SpanAttention {
  at::Tensor out;            // [queries, heads, dim]
  at::Tensor log_sum;        // [heads, queries] fp32: logarithm of the sum of exp(scores)
  at::Tensor random, state;  // of the flash kernels' dropout, which is off
};

// Autograd records neither this nor the backward; the caller does. Both throw what LibTorch throws.
SpanAttention AttendSpans(const SpanRows& rows, const SpansOnDevice& spans);
// The gradients of q, k and v.
SpanRows AttendSpansBackward(const at::Tensor& d_out, const SpanRows& rows,
                             const SpanAttention& attention, const SpansOnDevice& spans);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_ATTENTION_SPANS_H_
