#include "learner/checkpoint/shard_parts.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <memory>

#include "common/base/status_macros.h"

namespace reckon {
namespace {

CheckpointPart::Range RangeOf(int64_t begin, int64_t end) {
  CheckpointPart::Range range;
  range.set_begin(begin);
  range.set_end(end);
  return range;
}

}  // namespace

int64_t ElementsOf(const TrainedTensor& trained) {
  int64_t elements = 0;
  for (const TensorShape& tensor : trained.tensors) elements += tensor.elements();
  return elements;
}

CheckpointPart::Range HeldRange(const TrainedTensor& trained, int64_t first, int rank) {
  const int64_t all = ElementsOf(trained), each = trained.values.numel();
  const int64_t begin = trained.sharded ? std::min(all, rank * each) : 0;
  return RangeOf(first + begin, first + std::min(all, begin + each));
}

CheckpointPart::Range WrittenRange(const TrainedTensor& trained, int64_t first, int rank,
                                   int world) {
  if (trained.sharded) return HeldRange(trained, first, rank);
  const int64_t all = ElementsOf(trained), each = (all + world - 1) / world;
  return RangeOf(first + std::min(all, rank * each), first + std::min(all, (rank + 1) * each));
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
