#include "learner/publish/version_buffers.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kKept = VersionBuffers::kUsed + 1;
// Of a thread that samples and updates should not wait for.
constexpr int kNiceness = 5;
// Between two looks at whether to stop.
constexpr size_t kPiece = size_t{1} << 20;

// False: stopped. The kernel gives and clears a page when it is written to first.
bool WriteToPages(const std::stop_token& stop, WeightBytes* buffer) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  volatile char* const data = buffer->data();
  for (size_t at = 0; at < buffer->bytes().size(); at += page) {
    if (at % kPiece == 0 && stop.stop_requested()) return false;
    data[at] = 0;
  }
  return true;
}

}  // namespace

void VersionBuffers::KeepOnly(uint64_t bytes) {
  std::erase_if(buffers_, [bytes](const auto& buffer) { return buffer->bytes().size() != bytes; });
}

absl::StatusOr<std::shared_ptr<WeightBytes>> VersionBuffers::Take(uint64_t bytes) {
  {
    absl::MutexLock lock(&mu_);
    KeepOnly(bytes);
    for (const std::shared_ptr<WeightBytes>& buffer : buffers_) {
      // Nobody in this process has it, and nobody can get it but from here; nor in another process.
      if (buffer.use_count() == 1 && buffer->BeginFill()) return buffer;
    }
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> buffer, WeightBytes::Shared(bytes));
  absl::MutexLock lock(&mu_);
  if (buffers_.size() < kKept) buffers_.push_back(buffer);
  return buffer;
}

void VersionBuffers::Prepare(uint64_t bytes, size_t count) {
  preparing_ = std::jthread();  // one of another size would forget what this one makes
  preparing_ = std::jthread([this, bytes, count](const std::stop_token& stop) {
    // Of this thread alone.
    ::setpriority(PRIO_PROCESS, 0, kNiceness);
    MakeReady(bytes, count, stop);
  });
}

void VersionBuffers::FinishPreparing() {
  if (preparing_.joinable()) preparing_.join();
}

void VersionBuffers::MakeReady(uint64_t bytes, size_t count, const std::stop_token& stop) {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      KeepOnly(bytes);
      if (buffers_.size() >= count) return;
    }
    const absl::StatusOr<std::shared_ptr<WeightBytes>> buffer = WeightBytes::Shared(bytes);
    // Without a memfd buffers are not used again. Where memory is short, Take says it.
    if (!buffer.ok() || (*buffer)->where().name().empty()) return;
    if (!WriteToPages(stop, buffer->get())) return;
    (*buffer)->EndFill();
    absl::MutexLock lock(&mu_);
    // Take may have made one meanwhile.
    if (buffers_.size() < count) buffers_.push_back(*buffer);
  }
}

}  // namespace reckon
