#ifndef RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_
#define RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_

#include <optional>

#include "absl/status/status.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// Gives every rank the checkpoint that the leader has read, or nothing if it has none; a
// collective. The arrays go straight to their places, so that the other ranks need no memory beside
// them. They were checked by their digests when the leader read them; on their way they are as safe
// as the gradients of a step.
absl::Status ShareCheckpoint(Parallel& parallel, std::optional<Checkpoint>* checkpoint);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_
