#include "learner/checkpoint/shard_parts.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/algorithm/container.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

CheckpointPart::Range RangeOf(int64_t begin, int64_t end) {
  CheckpointPart::Range range;
  range.set_begin(begin);
  range.set_end(end);
  return range;
}

// The shards of all ranks, one after another.
absl::StatusOr<at::Tensor> GatherShards(RankGroup& shards, absl::Span<const float> mine) {
  const int64_t each = static_cast<int64_t>(mine.size());
  const at::Tensor from = at::empty({each}, at::kFloat);
  const at::Tensor to = at::empty({each * shards.world()}, at::kFloat);
  std::copy(mine.begin(), mine.end(), from.data_ptr<float>());
  const std::unique_ptr<PendingCollective> gather = shards.AllGather(from, to);
  RETURN_IF_ERROR(gather->Wait());
  return to;
}

}  // namespace

int64_t ElementsOf(const TrainedTensor& trained) {
  int64_t elements = 0;
  for (const TensorShape& tensor : trained.tensors) elements += tensor.elements();
  return elements;
}

CheckpointPart::Range HeldRange(const TrainedTensor& trained, int64_t first) {
  const int64_t all = ElementsOf(trained), each = trained.values.numel();
  const int64_t begin = trained.sharded ? std::min(all, trained.shard * each) : 0;
  return RangeOf(first + begin, first + std::min(all, begin + each));
}

CheckpointPart::Range WrittenRange(const TrainedTensor& trained, int64_t first, int rank,
                                   int world) {
  const CheckpointPart::Range held = HeldRange(trained, first);
  // Of the ranks that hold the same, in their order: of a shard one in each group of neighbours.
  const int64_t alike = trained.sharded ? world / trained.shards : world;
  const int64_t mine = trained.sharded ? rank / trained.shards : rank;
  const int64_t all = held.end() - held.begin(), each = (all + alike - 1) / alike;
  return RangeOf(held.begin() + std::min(all, mine * each),
                 held.begin() + std::min(all, (mine + 1) * each));
}

absl::StatusOr<std::vector<float>> GatherArray(RankGroup* shards, absl::Span<const SentPart> parts,
                                               std::vector<float> array) {
  const auto is_sent = [](const SentPart& part) { return part.sharded && part.here > 0; };
  if (absl::c_none_of(parts, is_sent)) return array;
  std::vector<float> all;
  // A growing array exists twice while it is copied.
  int64_t elements = 0;
  for (const SentPart& part : parts) elements += is_sent(part) ? part.elements : part.here;
  if (shards->rank() == 0) all.reserve(elements);
  auto next = array.begin();
  for (const SentPart& part : parts) {
    const auto begin = std::exchange(next, next + part.here);
    if (!is_sent(part)) {
      all.insert(all.end(), begin, next);
      continue;
    }
    ASSIGN_OR_RETURN(const at::Tensor gathered,
                     GatherShards(*shards, absl::MakeConstSpan(&*begin, part.here)));
    if (shards->rank() > 0) continue;
    const float* const values = gathered.const_data_ptr<float>();
    all.insert(all.end(), values, values + part.elements);
  }
  return all;
}

}  // namespace reckon
