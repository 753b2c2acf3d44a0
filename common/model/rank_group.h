#ifndef RECKON_COMMON_MODEL_RANK_GROUP_H_
#define RECKON_COMMON_MODEL_RANK_GROUP_H_

#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"

namespace reckon {

// A collective that runs while its caller computes. Whoever began it waits for it, or gives up the
// group.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  // Returns when this rank may use the result, with the error if there is none. Once.
  virtual absl::Status Wait() = 0;
};

// Ranks that divide a model among them, or hold the same shards of it; the learner's Parallel is
// one. Every rank begins the same collectives in the same order. Tensors are contiguous, and stay
// as they are until Wait. They own their memory, which a collective that was given up still uses.
class RankGroup {
 public:
  virtual ~RankGroup() = default;
  virtual int rank() const = 0;
  virtual int world() const = 0;

  // all [world * n] = the `mine` [n] of every rank, in the order of the ranks; of one type.
  virtual std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                                       const at::Tensor& all) = 0;
  // mine [n] = the sum over the ranks of elements rank * n .. of their `all` [world * n], fp32. On
  // the CPU added in the order of the ranks. `mine` may be those elements of this rank's `all`.
  virtual std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                              const at::Tensor& mine) = 0;
  // Replaces `values`, fp32, by their sum over the ranks, the same bits on every rank.
  virtual std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) = 0;
  // Waits for what Wait has only put in the order of a device's work; its error, if any of it has
  // failed.
  virtual absl::Status Settle() { return absl::OkStatus(); }
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_RANK_GROUP_H_
