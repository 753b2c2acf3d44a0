#include "learner/publish/version_buffers.h"

#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kKept = 4;

}  // namespace

absl::StatusOr<std::shared_ptr<WeightBytes>> VersionBuffers::Take(uint64_t bytes) {
  std::erase_if(buffers_, [bytes](const auto& buffer) { return buffer->bytes().size() != bytes; });
  for (const std::shared_ptr<WeightBytes>& buffer : buffers_) {
    // Nobody in this process has it, and nobody can get it but from here; nor in another process.
    if (buffer.use_count() == 1 && buffer->BeginFill()) return buffer;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> buffer, WeightBytes::Shared(bytes));
  if (buffers_.size() < kKept) buffers_.push_back(buffer);
  return buffer;
}

}  // namespace reckon
