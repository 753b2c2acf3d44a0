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

// What an array that is sent to rank 0 has of one TrainedTensor.
struct SentPart {
  int64_t elements = 0, here = 0;  // of all ranks, and of this one
  bool sharded = false;
};

// Of an array of such parts, one after another: on rank 0 the elements of all ranks, nothing on the
// others. Where nothing is sharded, the array as it is. `shards`: the ranks that have shards, for
// which this is a collective; rank 0 has the memory of two arrays for a time, each rank that of the
// largest tensor.
absl::StatusOr<std::vector<float>> GatherArray(RankGroup* shards, absl::Span<const SentPart> parts,
                                               std::vector<float> array);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
