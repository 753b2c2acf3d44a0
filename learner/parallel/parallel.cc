#include "learner/parallel/parallel.h"

#include <cstdint>
#include <cstring>

#include "common/base/status_macros.h"

namespace reckon {

absl::Status Parallel::AllReduceSum(const at::Tensor& values) {
  RETURN_IF_ERROR(BeginAllReduceSum(values)->Wait());
  return Settle();
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
