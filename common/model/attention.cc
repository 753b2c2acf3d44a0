#include "common/model/attention.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "common/base/thread_pool.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/attention_backward.h"
#include "common/model/kernels/interface.h"
#include "common/model/kernels/torch/packed_attention.h"
#include "common/model/kv_pages.h"

namespace reckon {
namespace {

// d_qkv [rows, (heads + 2 kv heads) * dim] from qkv and d_out [rows, heads * dim].
at::Tensor Backward(const at::Tensor& qkv, const at::Tensor& d_out,
                    const std::vector<int64_t>& starts, int64_t heads, int64_t kv_heads) {
  const int64_t dim = qkv.size(1) / (heads + 2 * kv_heads), group = heads / kv_heads;
  at::Tensor d_qkv = at::empty(qkv.sizes(), qkv.scalar_type());
  const int64_t bytes = BytesOf(DtypeOf(qkv));
  const auto* in = static_cast<const char*>(qkv.const_data_ptr());
  const auto* upstream = static_cast<const char*>(d_out.const_data_ptr());
  auto* out = static_cast<char*>(d_qkv.mutable_data_ptr());
  const int64_t sequences = static_cast<int64_t>(starts.size()) - 1;
  // One task a sequence and kv head: the query heads that share a kv head add to the same dk and
  // dv, so they must be summed by one thread in one order. Different slices write different parts
  // of d_qkv.
  ParallelFor(sequences * kv_heads, [&](int64_t task) {
    const int64_t s = task / kv_heads, h = task % kv_heads;
    AttentionSlice slice = {.dtype = DtypeOf(qkv),
                            .time = starts[s + 1] - starts[s],
                            .heads = group,
                            .dim = dim,
                            .stride = qkv.size(1),
                            .d_out_stride = d_out.size(1)};
    auto at = [&](auto* base, int64_t width, int64_t head) {
      return base + (starts[s] * width + head * dim) * bytes;
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

// By the CPU kernels. Runs through KvPages as the cache does, so that training and sampling share
// one code path and hence their bits.
class Packed : public AttentionSource {
 public:
  Packed(const ModelConfig& config, std::vector<int64_t> starts)
      : config_(config), starts_(std::move(starts)), pages_of_(starts_.size() - 1) {
    for (size_t s = 0; s + 1 < starts_.size(); ++s) {
      for (int64_t t = 0; t < starts_[s + 1] - starts_[s]; ++t) {
        if (t % kPageTokens == 0) pages_of_[s].push_back(total_pages_++);
        rows_.push_back({&pages_of_[s], t});
      }
    }
  }

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    GradientRecorder recorder({qkv});
    // The pages of one layer; every layer overwrites them.
    // Made when the first layer attends, because only qkv tells the dtype. The backward computes
    // from qkv, so no layer's pages are needed once it has attended.
    if (memory_ == nullptr) {
      memory_ = KvPages::Make(config_, DtypeOf(qkv), 1, total_pages_, Backend::kCpuKernels);
    }
    at::Tensor out = memory_->Attend(0, rows_, qkv);
    if (!recorder.recording()) return out;
    return recorder.Record(out,
                           [qkv, starts = starts_, heads = config_.num_heads,
                            kv_heads = config_.num_kv_heads](const at::Tensor& d_out) -> Tensors {
                             return {Backward(qkv, d_out.contiguous(), starts, heads, kv_heads)};
                           });
  }

 private:
  const ModelConfig config_;
  const std::vector<int64_t> starts_;
  std::vector<std::vector<int64_t>> pages_of_;  // by sequence
  int64_t total_pages_ = 0;
  std::vector<KvRow> rows_;
  std::unique_ptr<KvPages> memory_;
};

}  // namespace

std::shared_ptr<AttentionSource> PackedAttention(const ModelConfig& config,
                                                 std::vector<int64_t> starts, Backend backend) {
  if (backend != Backend::kCpuKernels) return TorchPackedAttention(config, std::move(starts));
  return std::make_shared<Packed>(config, std::move(starts));
}

}  // namespace reckon
