#ifndef RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
#define RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/rank_group.h"
#include "common/model/weights.h"
#include "proto/checkpoint.pb.h"

namespace reckon {

// A checkpoint is of whole tensors, whoever wrote which part. These say what of them a rank holds
// or writes: the values of a TrainedTensor, or its moments, which are laid out alike.

// Elements of all its tensors.
int64_t ElementsOf(const TrainedTensor& trained);

// What the rank has of it among the elements of all parameters, of which its own begin at `first`:
// of a shard what ShardedUnits gave it, but for what pads the last shard, else all.
CheckpointPart::Range HeldRange(const TrainedTensor& trained, int64_t first);
// What the rank writes, if every rank writes: its share of what it holds like others, of a shard in
// other groups.
CheckpointPart::Range WrittenRange(const TrainedTensor& trained, int64_t first, int rank,
                                   int world);

// Of `elements` of which each rank has a shard: all on rank 0, nothing on the others. A collective
// of these ranks, which takes the memory of the elements on each.
absl::StatusOr<std::vector<float>> GatherShards(RankGroup& shards, int64_t elements,
                                                absl::Span<const float> mine);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
