#ifndef RECKON_COMMON_TESTING_CPU_TIME_H_
#define RECKON_COMMON_TESTING_CPU_TIME_H_

#include <time.h>

#include "absl/time/time.h"

namespace reckon {

// The time that this thread has computed. A bound on the work of a function is checked by it, since
// the time on the clock grows with what else the machine does.
inline absl::Duration ThreadCpuTime() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_CPU_TIME_H_
