#include "learner/parallel/parallel.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>

#include "common/base/status_macros.h"

namespace reckon {

absl::Status Parallel::AllReduceSum(const at::Tensor& values) {
  RETURN_IF_ERROR(BeginAllReduceSum(values)->Wait());
  return Settle();
}

absl::Status Parallel::AllReduceSum(absl::Span<float> values) {
  const at::Tensor owned = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
  std::copy(values.begin(), values.end(), owned.data_ptr<float>());
  RETURN_IF_ERROR(AllReduceSum(owned));
  std::copy_n(owned.const_data_ptr<float>(), values.size(), values.begin());
  return absl::OkStatus();
}

absl::Status Parallel::Broadcast(std::string* bytes) {
  if (world() == 1) return absl::OkStatus();
  // The size comes first, because a receiver must have the memory before the bytes arrive.
  uint64_t size = bytes->size();
  char* const number = reinterpret_cast<char*>(&size);
  RETURN_IF_ERROR(Broadcast(absl::MakeSpan(number, sizeof(size))));
  bytes->resize(size);
  // All ranks have the same size by now, so all of them skip the second broadcast or none does.
  if (bytes->empty()) return absl::OkStatus();
  return Broadcast(absl::MakeSpan(bytes->data(), bytes->size()));
}

}  // namespace reckon
