#ifndef RECKON_LEARNER_PARALLEL_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_PARALLEL_H_

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace reckon {

// The ranks of one learner group, seen from one of them. All ranks make the same calls in the same
// order, one thread at a time. An error (a rank is gone, the run is stopped) ends the group: no
// call works after it.
class Parallel {
 public:
  virtual ~Parallel() = default;
  virtual int rank() const = 0;
  virtual int world() const = 0;

  // Replaces `values`, fp32 and contiguous, by their sum over the ranks, the same bits on every
  // rank.
  virtual absl::Status AllReduceSum(const at::Tensor& values) = 0;
  absl::Status AllReduceSum(absl::Span<float> values);
  // Gives rank 0's bytes to all. The others wait as long as rank 0 is busy and alive.
  virtual absl::Status Broadcast(std::string* bytes) = 0;
  virtual absl::Status Barrier() = 0;
};

// One rank alone: nothing to do.
std::unique_ptr<Parallel> MakeSingle();

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_PARALLEL_H_
