#include "common/model/attention.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "common/base/thread_pool.h"
#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/attention_backward.h"
#include "common/model/kernels/interface.h"
#include "common/model/kernels/torch/packed_attention.h"
#include "common/model/kv_pages.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// The stems and their branches, as the backward divides the work: those of one stem add to the same
// keys' gradients.
struct Family {
  RowRange stem;
  std::vector<RowRange> branches;
};

std::vector<Family> FamiliesOf(const RowSegments& segments) {
  std::vector<Family> out;
  std::vector<size_t> family_of(segments.size());
  for (int64_t s = 0; s < segments.size(); ++s) {
    const RowRange range = {segments.starts[s], segments.Count(s)};
    const int64_t stem = segments.after[s];
    if (stem == RowSegments::kNoSegment) {
      family_of[s] = out.size();
      out.push_back({range, {}});
    } else {
      out[family_of[stem]].branches.push_back(range);
    }
  }
  std::erase_if(out, [](const Family& family) { return family.stem.count == 0; });
  return out;
}

// d_qkv [rows, (heads + 2 kv heads) * dim] from qkv and d_out [rows, heads * dim].
at::Tensor Backward(const at::Tensor& qkv, const at::Tensor& d_out,
                    const std::vector<Family>& families, int64_t heads, int64_t kv_heads) {
  const int64_t dim = qkv.size(1) / (heads + 2 * kv_heads), group = heads / kv_heads;
  at::Tensor d_qkv = at::empty(qkv.sizes(), qkv.scalar_type());
  const int64_t bytes = BytesOf(DtypeOf(qkv));
  const auto* in = static_cast<const char*>(qkv.const_data_ptr());
  const auto* upstream = static_cast<const char*>(d_out.const_data_ptr());
  auto* out = static_cast<char*>(d_qkv.mutable_data_ptr());
  // One task a family and kv head: the query heads that share a kv head, and the branches of one
  // stem, add to the same dk and dv, so they must be summed by one thread in one order. Different
  // slices write different parts of d_qkv.
  ParallelFor(static_cast<int64_t>(families.size()) * kv_heads, [&](int64_t task) {
    const Family& family = families[task / kv_heads];
    const int64_t h = task % kv_heads;
    AttentionSlice slice = {.dtype = DtypeOf(qkv),
                            .stem = family.stem,
                            .branches = family.branches,
                            .heads = group,
                            .dim = dim,
                            .stride = qkv.size(1),
                            .d_out_stride = d_out.size(1)};
    auto at = [&](auto* base, int64_t head) { return base + head * dim * bytes; };
    slice.q = at(in, h * group);
    slice.k = at(in, heads + h);
    slice.v = at(in, heads + kv_heads + h);
    slice.d_out = at(upstream, h * group);
    slice.dq = at(out, h * group);
    slice.dk = at(out, heads + h);
    slice.dv = at(out, heads + kv_heads + h);
    AttentionBackward(slice);
  });
  return d_qkv;
}

// By the CPU kernels. Runs through KvPages as the cache does, so that training and sampling share
// one code path and hence their bits.
class Packed : public AttentionSource {
 public:
  Packed(const ModelConfig& config, const RowSegments& segments)
      : config_(config),
        families_(FamiliesOf(segments)),
        pages_of_(segments.size()),
        copies_of_(segments.size()) {
    for (int64_t s = 0; s < segments.size(); ++s) {
      const int64_t stem = segments.after[s];
      const int64_t first = stem == RowSegments::kNoSegment ? 0 : segments.Count(stem);
      const int64_t end = first + segments.Count(s);
      const int64_t shared = first / kPageTokens;  // pages that the stem fills
      if (stem != RowSegments::kNoSegment) {
        const std::vector<int64_t>& of_stem = pages_of_[stem];
        pages_of_[s].assign(of_stem.begin(), of_stem.begin() + shared);
        // The branch's first page of its own begins with the stem's last rows.
        if (first % kPageTokens != 0 && end > first) copies_of_[stem].push_back(total_pages_);
      }
      for (int64_t page = shared; page * kPageTokens < end; ++page) {
        pages_of_[s].push_back(total_pages_++);
      }
      for (int64_t t = first; t < end; ++t) rows_.push_back({&pages_of_[s], t});
    }
    for (int64_t s = 0; s < segments.size(); ++s) {
      if (copies_of_[s].empty()) continue;
      for (int64_t t = segments.Count(s) / kPageTokens * kPageTokens; t < segments.Count(s); ++t) {
        rows_[segments.starts[s] + t].copies = &copies_of_[s];
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
                           [qkv, families = families_, heads = config_.num_heads,
                            kv_heads = config_.num_kv_heads](const at::Tensor& d_out) -> Tensors {
                             return {Backward(qkv, d_out.contiguous(), families, heads, kv_heads)};
                           });
  }

 private:
  const ModelConfig config_;
  const std::vector<Family> families_;
  std::vector<std::vector<int64_t>> pages_of_;   // by segment
  std::vector<std::vector<int64_t>> copies_of_;  // by stem: pages that repeat its last one
  int64_t total_pages_ = 0;
  std::vector<KvRow> rows_;
  std::unique_ptr<KvPages> memory_;
};

}  // namespace

int64_t RowSegments::Add(int64_t count, int64_t stem) {
  CHECK(stem == kNoSegment || (stem < size() && after[stem] == kNoSegment));
  starts.push_back(starts.back() + count);
  after.push_back(stem);
  return size() - 1;
}

std::shared_ptr<AttentionSource> PackedAttention(const ModelConfig& config, RowSegments segments,
                                                 Backend backend) {
  if (backend != Backend::kCpuKernels) return TorchPackedAttention(config, std::move(segments));
  return std::make_shared<Packed>(config, segments);
}

}  // namespace reckon
