#ifndef RECKON_ACTOR_LEASE_BACKOFF_H_
#define RECKON_ACTOR_LEASE_BACKOFF_H_

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace reckon {

// Between empty replies of a coordinator that does not wait.
inline constexpr absl::Duration kLeastPause = absl::Milliseconds(50);

// How long to wait before the next attempt, and whether this failure is worth a line in the log:
// the first of an outage is, the hundredth is not. One thread.
class Backoff {
 public:
  absl::Duration Next() {
    absl::Duration wait = next_;
    next_ = std::min(next_ * 2, absl::Seconds(3));
    return wait;
  }
  bool first() const { return next_ == kFirst; }
  void Reset() { next_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(100);
  absl::Duration next_ = kFirst;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_LEASE_BACKOFF_H_
