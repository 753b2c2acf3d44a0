#include "learner/checkpoint/checkpoint_writer.h"

#include <utility>

#include "common/base/log.h"

namespace reckon {

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::Begin(std::function<absl::Status()> write) {
  CHECK(idle());
  {
    absl::MutexLock lock(&mu_);
    done_ = false;
  }
  thread_ = std::thread([this, write = std::move(write)] {
    absl::Status status = write();
    absl::MutexLock lock(&mu_);
    status_ = std::move(status);
    done_ = true;
  });
}

bool CheckpointWriter::written() {
  absl::MutexLock lock(&mu_);
  return thread_.joinable() && done_;
}

void CheckpointWriter::Await() {
  if (idle()) return;
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&done_));
}

absl::Status CheckpointWriter::Take() {
  CHECK(!idle());
  thread_.join();
  absl::MutexLock lock(&mu_);
  return status_;
}

}  // namespace reckon
