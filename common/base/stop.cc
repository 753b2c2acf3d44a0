#include "common/base/stop.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace reckon {
namespace {

// SIGTERMs so close to each other are one request.
constexpr absl::Duration kSameRequest = absl::Seconds(1);

}  // namespace

bool WaitForStop(const std::stop_token& stop, absl::Duration timeout) {
  absl::Notification requested;
  // Destroyed before `requested`, and its destructor waits for a callback that runs, so Notify
  // never touches a dead object.
  std::stop_callback notify(stop, [&requested] { requested.Notify(); });
  return requested.WaitForNotificationWithTimeout(timeout);
}

void StopOnSignals(std::stop_source source) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  // Blocked and taken by sigwait in a thread: a signal handler could not lock, and so could not
  // request a stop.
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread([source = std::move(source), set]() mutable {
    int signal = 0;
    sigwait(&set, &signal);
    source.request_stop();
    const absl::Time first = absl::Now();
    do {
      sigwait(&set, &signal);
    } while (signal == SIGTERM && absl::Now() - first < kSameRequest);
    // Not exit: destructors would wait for the threads that did not heed the first signal.
    _exit(128 + signal);
  }).detach();  // lives as long as the program
}

}  // namespace reckon
