#ifndef RECKON_COMMON_MODEL_SHARDED_UNITS_H_
#define RECKON_COMMON_MODEL_SHARDED_UNITS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/dtype.h"
#include "common/model/rank_group.h"
#include "common/model/replica_sums.h"

namespace reckon {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct TensorShape {
  std::string name;
  std::vector<int64_t> sizes;
  int64_t elements() const;
};

// The weights of a model, divided among ranks (ZeRO stage 3, Rajbhandari et al. 2020; FSDP, Zhao et
// al. 2023). A unit is what a forward pass needs at once: a decoder layer, the embedding, the last
// norm, the head. Its tensors, one after another and padded, are cut into one shard a rank.
//
//   shard     this rank's part: fp32, which the optimizer steps, or frozen in the compute type
//     | Gather         the whole unit, in the compute type; dropped by the caller after use.
//     |                Prefetch begins it earlier
//     v
//   whole unit, which a backward pass gives a whole gradient, in fp32
//     | BeginBackward  room for the gradient of each tensor: the grad() of its leaf
//     | EndBackward    the sum over the ranks is on its way to the shard's grad(), and the room is
//     v                released; the next EndBackward, or a last one, waits for it and adds it
//   grad() of the shard, which other hosts' ranks may add to (replica_sums.h)
//
// So a rank holds a shard of everything, a unit or two, and one gradient of a unit.
//
// All but Add and Freeze are collectives: every rank calls them in the same order. They throw
// StatusError (torch_status.h). Owned by TransformerWeights. One thread at a time, which in a
// backward pass is autograd's.
class ShardedUnits {
 public:
  // `replicas`: null, or of the ranks of other groups that hold the same shards.
  ShardedUnits(RankGroup* group, ReplicaSums* replicas, Dtype compute, c10::Device device);
  ~ShardedUnits();

  // Adds a unit, whose tensors `read` gives in their order, and keeps this rank's shard of them: in
  // fp32 if trainable.
  void Add(std::vector<TensorShape> tensors, bool trainable,
           const std::function<at::Tensor(size_t)>& read);
  // Rounds all shards to the compute type; they get no gradient any more.
  void Freeze();

  size_t size() const { return units_.size(); }
  int rank() const { return group_->rank(); }
  int ranks() const { return group_->world(); }
  const std::vector<TensorShape>& tensors(size_t unit) const { return units_[unit].tensors; }
  const at::Tensor& shard(size_t unit) const { return units_[unit].shard; }
  // What kernels add the gradients of a unit's tensors to: fp32 leaves of their shapes, whose
  // values take no memory and mean nothing. Empty once frozen.
  const std::vector<at::Tensor>& leaves(size_t unit) const { return units_[unit].leaves; }

  void Prefetch(size_t unit);
  // The unit's tensors, views of one new buffer.
  NamedTensors Gather(size_t unit);
  // The same in host memory, with nothing new on the device.
  NamedTensors GatherOnHost(size_t unit);
  void BeginBackward(size_t unit);
  // `whole`: no other backward pass of this micro-batch ends for the unit. `last`: nor for any.
  void EndBackward(size_t unit, bool whole, bool last);
  // Forgets what was begun: the shards have changed, or a backward pass failed.
  void Reset();

 private:
  struct Unit {
    std::vector<TensorShape> tensors;
    at::Tensor shard;  // [elements of all / ranks, rounded up]
    std::vector<at::Tensor> leaves;
    at::Tensor gradient;  // [shard * ranks] fp32, during a backward pass
  };
  struct Collective {
    at::Tensor mine, all;
    std::unique_ptr<PendingCollective> pending;
    bool whole = false;  // of a sum
  };
  // Begins to gather what `shard`, this rank's of a unit, is a part of: on its device.
  Collective BeginGather(const at::Tensor& shard);
  NamedTensors FinishGather(size_t unit, Collective gather) const;
  void FinishReduction();

  RankGroup* const group_;
  ReplicaSums* const replicas_;
  const Dtype compute_;
  const c10::Device device_;
  std::vector<Unit> units_;
  std::map<size_t, Collective> ahead_;  // gathers that were begun, by unit
  std::optional<std::pair<size_t, Collective>> reduction_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_SHARDED_UNITS_H_
