#ifndef RECKON_LEARNER_PARALLEL_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_PARALLEL_H_

#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model/rank_group.h"

namespace reckon {

// The ranks of one learner group, as one of them sees it. The calls that communicate are
// collective: every rank makes the same ones in the same order, from one thread at a time, and
// waits in them for the others. A call that only some ranks make blocks the group until its time
// limit.
//
// Those of RankGroup run while the caller computes; they too are begun by every rank in the same
// order, and a rank may begin other collectives meanwhile.
//
// An error (UNAVAILABLE: a rank or the network is gone; CANCELLED: stopped) ends the group: later
// calls fail too, and the process must end so that the group can start again under a new term.
//
// Implementations: Single (one rank), Gloo (CPU tensors over TCP), Nccl (GPU tensors, with a host
// Parallel for the rest).
class Parallel : public RankGroup {
 public:
  // BeginAllReduceSum, to its end.
  absl::Status AllReduceSum(const at::Tensor& values);
  // The same for values in host memory, which nothing writes to after an error.
  absl::Status AllReduceSum(absl::Span<float> values);
  // Replaces `bytes`, as many on every rank, by those of rank 0, which are only read. The others
  // wait as long as rank 0 is busy and alive. Nothing reads or writes them after an error.
  virtual absl::Status Broadcast(absl::Span<char> bytes) = 0;
  // The same for bytes of which only rank 0 knows how many there are.
  absl::Status Broadcast(std::string* bytes);
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_PARALLEL_H_
