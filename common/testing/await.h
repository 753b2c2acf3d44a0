#ifndef RECKON_COMMON_TESTING_AWAIT_H_
#define RECKON_COMMON_TESTING_AWAIT_H_

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace reckon {

// How long a test waits for what must come, also as the deadline of a call that must be answered.
// Long, because a loaded machine must not fail a test, and a test that passes never waits for it.
inline constexpr absl::Duration kPatience = absl::Minutes(3);

// Waits until `condition` is true, for tests whose subject runs on other threads or in other
// processes. Returns false if it is not true within `timeout`.
inline bool Await(const std::function<bool()>& condition, absl::Duration timeout = kPatience) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_AWAIT_H_
