#include "learner/parallel/c10d_work.h"

#include <algorithm>

namespace reckon {

absl::Status Await(const c10::intrusive_ptr<c10d::Work>& work, const StopToken& stop) {
  absl::Duration pause = absl::Microseconds(50);
  while (!work->isCompleted()) {
    if (stop.WaitFor(pause)) return absl::CancelledError("stopped");
    pause = std::min(pause * 2, absl::Milliseconds(5));
  }
  work->wait();
  return absl::OkStatus();
}

}  // namespace reckon
