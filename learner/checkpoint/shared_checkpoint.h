#ifndef RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_
#define RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// What ranks do with a checkpoint together. All are collectives.

// Whether every rank reaches the leader's folder under the same name, as on one machine or with a
// shared file system; `wants` of any rank may say that it must not. The leader puts a file there
// for a moment, which the others look for. On the leader an error if it cannot.
absl::StatusOr<bool> AllReachFolder(Parallel& parallel, const std::string& folder, bool wants);

// Gives every rank what the leader has opened, or nothing if it has none; the arrays stay where
// they are.
absl::Status ShareCheckpoint(Parallel& parallel, std::optional<Checkpoint>* checkpoint);

// Fills `mine` with elements my_begin .. of an array, which are among begin .. end-1, the same on
// every rank. With all_reach each rank reads its own and no others; else the leader reads begin ..
// end-1 piece by piece, each of which takes its own from it: no rank needs memory for more.
absl::Status ReadShared(Parallel& parallel, bool all_reach, const Checkpoint& checkpoint,
                        CheckpointArray array, int64_t begin, int64_t end, int64_t my_begin,
                        absl::Span<float> mine);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_SHARED_CHECKPOINT_H_
