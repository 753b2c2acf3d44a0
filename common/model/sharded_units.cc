#include "common/model/sharded_units.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "common/model/kernels/autograd.h"
#include "common/model/kernels/interface.h"
#include "common/model/torch_status.h"
// Last.
#include "common/base/log.h"

namespace reckon {

int64_t TensorShape::elements() const {
  int64_t count = 1;
  for (int64_t n : sizes) count *= n;
  return count;
}

ShardedUnits::ShardedUnits(RankGroup* group, ReplicaSums* replicas, Dtype compute,
                           c10::Device device)
    : group_(group), replicas_(replicas), compute_(compute), device_(device) {}

ShardedUnits::~ShardedUnits() = default;

void ShardedUnits::Add(std::vector<TensorShape> tensors, bool trainable,
                       const std::function<at::Tensor(size_t)>& read) {
  int64_t elements = 0;
  for (const TensorShape& tensor : tensors) elements += tensor.elements();
  const int64_t size = (elements + group_->world() - 1) / group_->world();
  const int64_t begin = size * group_->rank(), end = begin + size;
  const at::ScalarType type = trainable ? at::kFloat : ScalarTypeOf(compute_);
  Unit unit;
  unit.tensors = std::move(tensors);
  unit.shard = at::zeros({size}, type);
  const at::Tensor nothing = at::zeros({1}, at::TensorOptions(at::kFloat).device(device_));
  int64_t offset = 0;
  for (size_t i = 0; i < unit.tensors.size(); ++i) {
    const int64_t count = unit.tensors[i].elements();
    const int64_t from = std::max(begin, offset), to = std::min(end, offset + count);
    if (from < to) {
      unit.shard.narrow(0, from - begin, to - from)
          .copy_(read(i).reshape({count}).narrow(0, from - offset, to - from));
    }
    offset += count;
    if (trainable) {
      unit.leaves.push_back(nothing.expand(unit.tensors[i].sizes).set_requires_grad(true));
    }
  }
  unit.shard = unit.shard.to(device_);
  units_.push_back(std::move(unit));
}

void ShardedUnits::Freeze() {
  Reset();
  for (Unit& unit : units_) {
    unit.shard = unit.shard.to(ScalarTypeOf(compute_));
    unit.leaves.clear();
  }
}

ShardedUnits::Collective ShardedUnits::BeginGather(const at::Tensor& shard) {
  Collective gather;
  // Rounded here and not after the gather: half the bytes travel.
  gather.mine = shard.to(ScalarTypeOf(compute_));
  gather.all = at::empty({gather.mine.numel() * group_->world()}, gather.mine.options());
  gather.pending = group_->AllGather(gather.mine, gather.all);
  return gather;
}

void ShardedUnits::Prefetch(size_t unit) {
  if (ahead_.contains(unit)) return;
  ahead_.emplace(unit, BeginGather(units_[unit].shard.detach()));
}

NamedTensors ShardedUnits::Gather(size_t unit) {
  Prefetch(unit);
  return FinishGather(unit, std::move(ahead_.extract(unit).mapped()));
}

NamedTensors ShardedUnits::GatherOnHost(size_t unit) {
  return FinishGather(unit, BeginGather(units_[unit].shard.detach().to(at::kCPU)));
}

NamedTensors ShardedUnits::FinishGather(size_t unit, Collective gather) const {
  ThrowIfError(gather.pending->Wait());
  NamedTensors out;
  int64_t offset = 0;
  for (const TensorShape& tensor : units_[unit].tensors) {
    const int64_t count = tensor.elements();
    out.emplace_back(tensor.name, gather.all.narrow(0, offset, count).view(tensor.sizes));
    offset += count;
  }
  return out;
}

void ShardedUnits::BeginBackward(size_t index) {
  Unit& unit = units_[index];
  if (unit.leaves.empty()) return;
  unit.gradient =
      at::zeros({unit.shard.numel() * group_->world()}, unit.shard.options().dtype(at::kFloat));
  int64_t offset = 0;
  for (at::Tensor& leaf : unit.leaves) {
    leaf.mutable_grad() = unit.gradient.narrow(0, offset, leaf.numel()).view(leaf.sizes());
    offset += leaf.numel();
  }
}

void ShardedUnits::EndBackward(size_t index, bool whole, bool last) {
  Unit& unit = units_[index];
  if (unit.leaves.empty()) return;
  FinishReduction();
  for (at::Tensor& leaf : unit.leaves) leaf.mutable_grad().reset();
  Collective sum;
  sum.all = std::exchange(unit.gradient, at::Tensor());
  // In the place of what this rank adds to it.
  sum.mine = sum.all.narrow(0, group_->rank() * unit.shard.numel(), unit.shard.numel());
  sum.pending = group_->ReduceScatterSum(sum.all, sum.mine);
  sum.whole = whole;
  reduction_.emplace(index, std::move(sum));
  if (last) FinishReduction();
}

void ShardedUnits::FinishReduction() {
  if (!reduction_.has_value()) return;
  auto [unit, sum] = *std::exchange(reduction_, std::nullopt);
  ThrowIfError(sum.pending->Wait());
  const at::Tensor gradient = GradOf(units_[unit].shard);
  gradient.add_(sum.mine);
  if (replicas_ != nullptr && replicas_->last() && sum.whole) replicas_->Add(gradient);
}

void ShardedUnits::Reset() {
  for (auto& [unit, gather] : std::exchange(ahead_, {})) ThrowIfError(gather.pending->Wait());
  if (reduction_.has_value()) ThrowIfError(reduction_->second.pending->Wait());
  reduction_.reset();
  for (Unit& unit : units_) {
    for (at::Tensor& leaf : unit.leaves) leaf.mutable_grad().reset();
    unit.gradient = at::Tensor();
  }
}

}  // namespace reckon
