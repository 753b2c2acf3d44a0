#ifndef RECKON_COMMON_MODEL_REPLICA_SUMS_H_
#define RECKON_COMMON_MODEL_REPLICA_SUMS_H_

#include <map>
#include <memory>

#include "ATen/core/Tensor.h"
#include "common/model/rank_group.h"

namespace reckon {

// Sums the gradients of shards over the ranks that hold the same ones, once an optimizer step
// (learner.sharding: HYBRID). A gradient is whole when the backward pass of the step's last
// micro-batch has left its unit; its sum travels while that pass computes the units below.
//
//   Reset      a step begins, or one has failed
//   BeginLast  the passes of its last micro-batch come next
//   Add        this gradient is whole: ShardedUnits, unit by unit; before Finish, PolicyUpdate all.
//              What was added before is not summed twice
//   Finish     the gradients are those of all ranks
//
// Owned by who makes the groups of ranks; all models of the rank share one. Add and Finish are
// collectives, and throw StatusError (torch_status.h). One thread at a time, which in a backward
// pass is autograd's.
class ReplicaSums {
 public:
  explicit ReplicaSums(RankGroup* replicas) : replicas_(*replicas) {}

  void Reset();
  void BeginLast() { last_ = true; }
  bool last() const { return last_; }
  void Add(const at::Tensor& gradient);
  void Finish();

 private:
  RankGroup& replicas_;
  bool last_ = false;
  std::map<const void*, std::unique_ptr<PendingCollective>> begun_;  // by the gradient's memory
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_REPLICA_SUMS_H_
