#include "common/model/kv_pages.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "common/base/memory.h"
#include "common/base/thread_pool.h"
#include "common/model/kernels/torch/kv_pages.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int64_t kMostRowsPerTask = 4;

// Whether no two rows are of one sequence, whose rows are neighbours, and none has copies.
bool OneRowEach(const std::vector<KvRow>& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].copies != nullptr) return false;
    if (i > 0 && rows[i].pages == rows[i - 1].pages) return false;
  }
  return true;
}

// One buffer [pages, layers, kv_heads, page_bytes], in the layout of kernels/cpu/attention.h.
class CpuKvPages : public KvPages {
 public:
  CpuKvPages(const ModelConfig& config, Dtype dtype, int64_t layers, int64_t pages)
      : shape_{dtype, config.head_dim}, layers_(layers), kv_heads_(config.num_kv_heads) {
    int64_t bytes = pages * BytesPerPage(config, dtype, layers);
    data_ = AllocateBytes(bytes);
    std::memset(data_.get(), 0, bytes);
  }

  Layer OfLayer(int64_t) const override { LOG(FATAL) << "pages of the CPU kernels"; }

  void Copy(int64_t from, int64_t to) override {
    std::memcpy(At(to, 0, 0), At(from, 0, 0), layers_ * kv_heads_ * shape_.page_bytes());
  }

  at::Tensor Attend(int64_t layer, const std::vector<KvRow>& rows, const at::Tensor& qkv) override {
    const int64_t kv_heads = kv_heads_, dim = shape_.head_dim, width = qkv.size(1);
    const int64_t heads = width / dim - 2 * kv_heads, group = heads / kv_heads;
    const int64_t bytes = shape_.element_bytes(), n = static_cast<int64_t>(rows.size());
    const auto* from = static_cast<const char*>(qkv.const_data_ptr());
    auto at = [&](int64_t row, int64_t head) { return from + (row * width + head * dim) * bytes; };
    const auto write = [&](int64_t row) {
      const auto to_page = [&](int64_t page) {
        for (int64_t h = 0; h < kv_heads; ++h) {
          WriteKv(shape_, At(page, layer, h), rows[row].position, at(row, heads + h),
                  at(row, heads + kv_heads + h));
        }
      };
      to_page((*rows[row].pages)[rows[row].position / kPageTokens]);
      if (rows[row].copies == nullptr) return;
      for (int64_t page : *rows[row].copies) to_page(page);
    };
    // Rows of one sequence attend to each other, so all keys and values are there before any row
    // attends. Where each sequence has one row, a row finds its page in the cache by writing
    // itself.
    const bool alone = OneRowEach(rows);
    if (!alone) ParallelFor(n, write);
    at::Tensor out = at::empty({n, heads * dim}, qkv.scalar_type());
    char* to = static_cast<char*>(out.mutable_data_ptr());
    // Neighbours share a task, because samples of one prompt share its pages.
    const int64_t most = std::clamp<int64_t>(n / (4 * ComputeThreads()), 1, kMostRowsPerTask);
    ParallelFor((n + most - 1) / most, [&](int64_t task) {
      thread_local std::vector<const char*> pages, next;
      thread_local std::vector<float> scratch;
      const int64_t begin = task * most, end = std::min(n, begin + most);
      for (int64_t row = begin; row < end; ++row) {
        if (alone) write(row);
        const int64_t keys = rows[row].position + 1;
        const int64_t count = (keys + kPageTokens - 1) / kPageTokens;
        // Threads take tasks in turn.
        const int64_t after = row + 1 < end ? row + 1 : begin + most * ComputeThreads();
        const std::vector<int64_t>& of_row = *rows[row].pages;
        const std::vector<int64_t>& of_next = after < n ? *rows[after].pages : of_row;
        pages.resize(count);
        next.resize(count);
        scratch.resize(std::max<size_t>(scratch.size(), group * count * kPageTokens));
        for (int64_t h = 0; h < kv_heads; ++h) {
          for (size_t p = 0; p < pages.size(); ++p) {
            pages[p] = At(of_row[p], layer, h);
            next[p] = p < of_next.size() ? At(of_next[p], layer, h) : pages[p];
          }
          AttendRow(shape_, at(row, h * group), group, pages.data(), keys, next.data(),
                    scratch.data(), to + (row * heads + h * group) * dim * bytes);
        }
      }
    });
    return out;
  }

 private:
  char* At(int64_t page, int64_t layer, int64_t kv_head) {
    return data_.get() + ((page * layers_ + layer) * kv_heads_ + kv_head) * shape_.page_bytes();
  }

  const KvShape shape_;
  const int64_t layers_;
  const int64_t kv_heads_;
  std::shared_ptr<char[]> data_;
};

}  // namespace

int64_t KvPages::BytesPerPage(const ModelConfig& config, Dtype dtype, int64_t layers) {
  return layers * config.num_kv_heads * KvShape{dtype, config.head_dim}.page_bytes();
}

std::unique_ptr<KvPages> KvPages::Make(const ModelConfig& config, Dtype dtype, int64_t layers,
                                       int64_t pages, Backend backend) {
  if (backend != Backend::kCpuKernels) {
    return std::make_unique<TorchKvPages>(config, dtype, layers, pages, DeviceOf(backend));
  }
  return std::make_unique<CpuKvPages>(config, dtype, layers, pages);
}

}  // namespace reckon
