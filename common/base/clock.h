#ifndef RECKON_COMMON_BASE_CLOCK_H_
#define RECKON_COMMON_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace reckon {

// The source of time for code whose tests move the time by hand. Thread-safe. Never fails.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;

  // The clock of the machine. It is never destroyed.
  static Clock* Real();
};

// A clock for tests that moves only by Advance. Now must not run at the same time as Advance.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::UnixEpoch()) : now_(start) {}
  absl::Time Now() override { return now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_CLOCK_H_
