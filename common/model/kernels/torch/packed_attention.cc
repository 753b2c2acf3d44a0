#include "common/model/kernels/torch/packed_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <utility>
#include <vector>

#include "common/model/device_memory.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/torch/attention_spans.h"
#include "common/model/kernels/torch/segment_calls.h"

namespace reckon {
namespace {

// The calls of a pass on its device, for all layers.
struct PassCalls {
  struct Call {
    int64_t first_row;
    SpansOnDevice spans;
    at::Tensor key_rows;  // [keys] int64; undefined if the keys are those of the queries' rows
  };
  std::vector<Call> calls;
  int64_t heads, kv_heads;

  // x: q, k and v of a layer, [rows, heads + 2 kv heads, dim].
  SpanRows RowsOf(const at::Tensor& x, const Call& call) const {
    const at::Tensor own = x.narrow(0, call.first_row, call.spans.spans.queries());
    const at::Tensor kv = (call.key_rows.defined() ? x : own).narrow(1, heads, 2 * kv_heads);
    const at::Tensor keys = call.key_rows.defined() ? kv.index_select(0, call.key_rows) : kv;
    return {.q = own.narrow(1, 0, heads),
            .k = keys.narrow(1, 0, kv_heads),
            .v = keys.narrow(1, kv_heads, kv_heads)};
  }
};

std::shared_ptr<const PassCalls> CallsOnDevice(const RowSegments& segments,
                                               const ModelConfig& config, at::Device device) {
  auto out = std::make_shared<PassCalls>();
  out->heads = config.num_heads;
  out->kv_heads = config.num_kv_heads;
  for (const SegmentCall& call : SegmentCalls(segments)) {
    out->calls.push_back({call.first_row, ToDevice(call.spans, device), {}});
    if (call.spans.keys() == call.spans.queries()) continue;
    out->calls.back().key_rows = SendToDevice(at::tensor(call.key_rows, at::kLong), device);
  }
  return out;
}

// The gradient of x from that of what the calls returned. Copies of keys are made anew: kept from
// the forward pass, they would be there for all layers at once.
at::Tensor CallsBackward(const at::Tensor& d_out, const at::Tensor& x, const PassCalls& pass,
                         const std::vector<SpanAttention>& attention) {
  const int64_t kv_heads = pass.kv_heads;
  if (pass.calls.size() == 1 && !pass.calls[0].key_rows.defined()) {
    const PassCalls::Call& call = pass.calls[0];
    const SpanRows d = AttendSpansBackward(d_out, pass.RowsOf(x, call), attention[0], call.spans);
    return at::cat({d.q, d.k, d.v}, 1);
  }
  // A stem's keys get a gradient from each of its branches, which are added in fp32.
  at::Tensor d_kv = at::zeros({x.size(0), 2 * kv_heads, x.size(2)}, x.options().dtype(at::kFloat));
  std::vector<at::Tensor> d_q;
  for (size_t c = 0; c < pass.calls.size(); ++c) {
    const PassCalls::Call& call = pass.calls[c];
    const int64_t queries = call.spans.spans.queries();
    const SpanRows d = AttendSpansBackward(d_out.narrow(0, call.first_row, queries),
                                           pass.RowsOf(x, call), attention[c], call.spans);
    d_q.push_back(d.q);
    const at::Tensor d_keys = at::cat({d.k, d.v}, 1).to(at::kFloat);
    if (call.key_rows.defined()) {
      d_kv.index_add_(0, call.key_rows, d_keys);
    } else {
      d_kv.narrow(0, call.first_row, queries).add_(d_keys);
    }
  }
  return at::cat({at::cat(d_q), d_kv.to(x.scalar_type())}, 1);
}

// Attention of all calls: x [rows, heads + 2 kv heads, dim] -> [rows, heads, dim].
at::Tensor AttendCalls(const at::Tensor& x, const std::shared_ptr<const PassCalls>& pass) {
  GradientRecorder recorder({x});
  std::vector<SpanAttention> attention;
  std::vector<at::Tensor> outs;
  for (const PassCalls::Call& call : pass->calls) {
    attention.push_back(AttendSpans(pass->RowsOf(x, call), call.spans));
    outs.push_back(attention.back().out);
  }
  const at::Tensor out = outs.size() == 1 ? outs[0] : at::cat(outs);
  if (!recorder.recording()) return out;
  for (size_t c = 0; c < attention.size(); ++c) {
    const PassCalls::Call& call = pass->calls[c];
    // An alias of the memory: `out` itself will hold the backward.
    attention[c].out = out.narrow(0, call.first_row, call.spans.spans.queries()).detach();
  }
  return recorder.Record(out, [x, pass, attention](const at::Tensor& d_out) -> Tensors {
    return {CallsBackward(d_out, x, *pass, attention)};
  });
}

class TorchPacked : public AttentionSource {
 public:
  TorchPacked(const ModelConfig& config, RowSegments segments)
      : config_(config), segments_(std::move(segments)) {}

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    if (pass_ == nullptr) pass_ = CallsOnDevice(segments_, config_, qkv.device());
    const int64_t heads = config_.num_heads + 2 * config_.num_kv_heads;
    return AttendCalls(qkv.view({qkv.size(0), heads, config_.head_dim}), pass_).flatten(1);
  }

 private:
  const ModelConfig config_;
  const RowSegments segments_;
  std::shared_ptr<const PassCalls> pass_;  // from the first layer on, which tells the device
};

}  // namespace

std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments) {
  return std::make_shared<TorchPacked>(config, std::move(segments));
}

}  // namespace reckon
