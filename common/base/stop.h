#ifndef RECKON_COMMON_BASE_STOP_H_
#define RECKON_COMMON_BASE_STOP_H_

#include <stop_token>

#include "absl/time/time.h"

namespace reckon {

// How a program's threads are asked to end. Main owns one std::stop_source; every loop that waits
// takes its std::stop_token and returns CANCELLED soon after the request. A thread that blocks in a
// gRPC call registers a std::stop_callback that cancels the call, so nothing polls.

// Sleeps for `timeout` or until a stop is requested, whichever is first. Returns true when stopped.
bool WaitForStop(const std::stop_token& stop, absl::Duration timeout);

// Requests a stop on the first SIGINT or SIGTERM, from a thread of its own. The signals are blocked
// in all threads that start later, so call this first in main. A second signal ends the program at
// once with exit code 128 + signal; but a SIGTERM within a second of the first is the same request,
// as a scheduler and its launcher may both deliver it.
void StopOnSignals(std::stop_source source);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_STOP_H_
