#ifndef RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
#define RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/weights.h"
#include "learner/parallel/parallel.h"
#include "proto/checkpoint.pb.h"

namespace reckon {

// A checkpoint is of whole tensors, whoever wrote which part. These say what of them a rank holds
// or writes: the values of a TrainedTensor, or its moments, which are laid out alike.

// Elements of all its tensors.
int64_t ElementsOf(const TrainedTensor& trained);

// What the rank has of it among the elements of all parameters, of which its own begin at `first`:
// of a shard what ShardedUnits gave it, but for what pads the last shard, else all.
CheckpointPart::Range HeldRange(const TrainedTensor& trained, int64_t first, int rank);
// What the rank writes, if every rank writes: of a shard the same, else its share.
CheckpointPart::Range WrittenRange(const TrainedTensor& trained, int64_t first, int rank,
                                   int world);

// The elements of all tensors on rank 0, nothing on the others. Of a shard a collective, which
// takes the memory of these elements on every rank.
absl::StatusOr<std::vector<float>> GatherParts(Parallel& parallel, const TrainedTensor& trained,
                                               absl::Span<const float> mine);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
