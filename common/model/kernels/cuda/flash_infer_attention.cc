#include "common/model/kernels/cuda/flash_infer_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cmath>
#include <exception>
#include <map>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/flash_infer.h"
#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Numbers without a pattern that a wrong page would keep.
at::Tensor Wave(at::IntArrayRef sizes, double step, c10::Device device) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return at::arange(count, at::TensorOptions(at::kFloat).device(device))
      .mul_(step)
      .sin_()
      .view(sizes)
      .to(at::kBFloat16);
}

// Whether it may be used for these heads, which is tried once in a process.
bool IsTrusted(int64_t heads, int64_t kv_heads, int64_t dim, c10::Device device) {
  static absl::Mutex mutex;
  static auto& known ABSL_GUARDED_BY(mutex) =
      *new std::map<std::tuple<int64_t, int64_t, int64_t>, bool>();
  const absl::MutexLock lock(&mutex);
  const auto [it, added] = known.try_emplace({heads, kv_heads, dim}, false);
  if (!added) return it->second;
  try {
    it->second = FlashInferAgrees(heads, kv_heads, dim, device);
    LOG_IF(WARNING, !it->second) << "FlashInfer's attention differs from our own for heads of "
                                 << dim << "; decoding with our own";
  } catch (const std::exception& error) {
    LOG(WARNING) << "FlashInfer's attention does not run here (" << error.what()
                 << "); decoding with our own";
  }
  return it->second;
}

}  // namespace

std::shared_ptr<const FlashInferAttention> FlashInferAttention::Make(const ModelConfig& config,
                                                                     Dtype dtype, int64_t most_rows,
                                                                     int64_t most_pages,
                                                                     c10::Device device) {
  const bool usable = dtype == Dtype::kBf16 && RowTile() == 0 &&
                      FlashInferAttends(config.num_heads, config.num_kv_heads, config.head_dim);
  if (!usable || !IsTrusted(config.num_heads, config.num_kv_heads, config.head_dim, device)) {
    return nullptr;
  }
  return std::make_shared<FlashInferAttention>(most_rows, most_pages, device);
}

FlashInferAttention::FlashInferAttention(int64_t most_rows, int64_t most_pages, c10::Device device)
    : most_pages_(most_pages) {
  const at::TensorOptions ints = at::TensorOptions(at::kInt).device(device);
  numbers_ = at::arange(most_rows + 1, ints);
  page_begins_ = numbers_ * most_pages;
  zeros_ = at::zeros({most_rows}, ints);
}

at::Tensor FlashInferAttention::LastTokens(const DeviceRows& rows) const {
  return rows.positions + (1 - (most_pages_ - 1) * kPageTokens);
}

at::Tensor FlashInferAttention::Attend(const at::Tensor& q, const at::Tensor& keys,
                                       const at::Tensor& values, const DeviceRows& rows,
                                       const at::Tensor& last_tokens) const {
  CHECK(q.is_contiguous() && keys.is_contiguous() && values.is_contiguous());
  CHECK_EQ(rows.pages_of.size(1), most_pages_);
  CHECK_LT(q.size(0), numbers_.size(0));
  const c10::cuda::CUDAGuard on(q.device());
  at::Tensor out = at::empty(q.sizes(), q.options());
  const cudaError_t error =
      LaunchFlashInfer({.q = q.mutable_data_ptr(),
                        .keys = keys.mutable_data_ptr(),
                        .values = values.mutable_data_ptr(),
                        .pages_of = rows.pages_of.mutable_data_ptr<int32_t>(),
                        .page_begins = page_begins_.mutable_data_ptr<int32_t>(),
                        .last_tokens = last_tokens.mutable_data_ptr<int32_t>(),
                        .numbers = numbers_.mutable_data_ptr<int32_t>(),
                        .zeros = zeros_.mutable_data_ptr<int32_t>(),
                        .out = out.mutable_data_ptr(),
                        .rows = q.size(0),
                        .heads = q.size(1),
                        .kv_heads = keys.size(1),
                        .dim = q.size(2),
                        .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))))},
                       c10::cuda::getCurrentCUDAStream(q.device().index()));
  TORCH_CHECK(error == cudaSuccess, "CUDA: ", cudaGetErrorString(error));
  return out;
}

bool FlashInferAgrees(int64_t heads, int64_t kv_heads, int64_t dim, c10::Device device) {
  constexpr int64_t kPages = 12, kMostPages = 5;
  // Rows of one token, at the ends of pages, of several pages, and an idle one.
  const std::vector<int32_t> positions = {0, 62, 63, 64, 300, -1, 17};
  const auto rows = static_cast<int64_t>(positions.size());
  const at::TensorOptions ints = at::TensorOptions(at::kInt);
  // Pages in no order, which rows may share.
  const DeviceRows at_rows = {
      .pages_of = (at::arange(rows * kMostPages, ints) * 7 % kPages).view({rows, -1}).to(device),
      .positions = at::tensor(positions, ints).to(device)};
  const at::Tensor q = Wave({rows, heads, dim}, 0.7, device) * 4;
  const at::Tensor keys = Wave({kPages * kPageTokens, kv_heads, dim}, 1.3, device);
  const at::Tensor values = Wave(keys.sizes(), 2.9, device);
  const FlashInferAttention attention(rows, kMostPages, device);
  const at::Tensor got =
      attention.Attend(q, keys, values, at_rows, attention.LastTokens(at_rows)).to(at::kFloat);
  const at::Tensor wanted = FusedPagedAttention(q, keys, values, at_rows).to(at::kFloat);
  const double difference = ((got - wanted).abs().max() / wanted.abs().max()).item<double>();
  return difference <= 1.0 / 64;  // false for a NaN
}

}  // namespace reckon
