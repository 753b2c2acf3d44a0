#ifndef RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
#define RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/weights.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// A checkpoint holds whole tensors, whoever wrote it. These two turn them into what a rank holds,
// and back: the values of a TrainedTensor, or its moments, which are laid out alike.

// Elements of all its tensors.
int64_t ElementsOf(const TrainedTensor& trained);

// What `rank` holds of `whole`, the elements of all tensors one after another; the end of the last
// rank's shard, which no tensor fills, is zero.
void TakePart(const TrainedTensor& trained, int rank, absl::Span<const float> whole,
              absl::Span<float> mine);

// The elements of all tensors on rank 0, nothing on the others. Of a shard a collective, which
// takes the memory of these elements on every rank.
absl::StatusOr<std::vector<float>> GatherParts(Parallel& parallel, const TrainedTensor& trained,
                                               absl::Span<const float> mine);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARD_PARTS_H_
