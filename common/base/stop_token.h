#ifndef RECKON_COMMON_BASE_STOP_TOKEN_H_
#define RECKON_COMMON_BASE_STOP_TOKEN_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace reckon {

// Asks a program's threads to end. One per program, made in main and passed down by pointer.
// Thread-safe.
class StopToken {
 public:
  void Stop() {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }
  bool stopped() const {
    absl::MutexLock lock(&mu_);
    return stopped_;
  }
  // Sleeps for `timeout` or until stopped, whichever is first. True: stopped.
  bool WaitFor(absl::Duration timeout) const {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&stopped_), timeout);
  }

 private:
  mutable absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

// Stops `token` on SIGINT and SIGTERM, from a thread of its own (signals are blocked in all others,
// so call this first in main). A second signal ends the program at once.
void StopOnSignals(StopToken* token);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_STOP_TOKEN_H_
