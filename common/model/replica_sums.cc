#include "common/model/replica_sums.h"

#include <utility>

#include "common/model/torch_status.h"

namespace reckon {

void ReplicaSums::Reset() {
  last_ = false;
  for (auto& [memory, sum] : std::exchange(begun_, {})) ThrowIfError(sum->Wait());
}

void ReplicaSums::Add(const at::Tensor& gradient) {
  if (gradient.numel() == 0) return;
  std::unique_ptr<PendingCollective>& sum = begun_[gradient.const_data_ptr()];
  if (sum == nullptr) sum = replicas_.BeginAllReduceSum(gradient);
}

void ReplicaSums::Finish() {
  Reset();
  ThrowIfError(replicas_.Settle());
}

}  // namespace reckon
