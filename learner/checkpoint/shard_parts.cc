#include "learner/checkpoint/shard_parts.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <memory>

#include "common/base/status_macros.h"

namespace reckon {

int64_t ElementsOf(const TrainedTensor& trained) {
  int64_t elements = 0;
  for (const TensorShape& tensor : trained.tensors) elements += tensor.elements();
  return elements;
}

void TakePart(const TrainedTensor& trained, int rank, absl::Span<const float> whole,
              absl::Span<float> mine) {
  const size_t begin = trained.sharded ? std::min(whole.size(), rank * mine.size()) : 0;
  const absl::Span<const float> part = whole.subspan(begin, mine.size());
  std::copy(part.begin(), part.end(), mine.begin());
  std::fill(mine.begin() + static_cast<int64_t>(part.size()), mine.end(), 0.0f);
}

absl::StatusOr<std::vector<float>> GatherParts(Parallel& parallel, const TrainedTensor& trained,
                                               absl::Span<const float> mine) {
  std::vector<float> out(mine.begin(), mine.end());
  if (trained.sharded) {
    out.resize(mine.size() * parallel.world());
    const at::Tensor from =
        at::from_blob(const_cast<float*>(mine.data()), {int64_t(mine.size())}, at::kFloat);
    const at::Tensor to = at::from_blob(out.data(), {int64_t(out.size())}, at::kFloat);
    const std::unique_ptr<PendingCollective> gather = parallel.AllGather(from, to);
    RETURN_IF_ERROR(gather->Wait());
    out.resize(ElementsOf(trained));
  }
  if (parallel.rank() != 0) out.clear();
  return out;
}

}  // namespace reckon
