#ifndef RECKON_COMMON_BASE_CLOCK_H_
#define RECKON_COMMON_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace reckon {

// Where code that waits or measures gets its time, so that tests can move it by hand.
// Thread-safe. Never fails.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;

  // The machine's clock. Lives for ever.
  static Clock* Real();
};

// A clock that stands still until told to move. Not thread-safe against Advance.
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
