#include "common/base/stop_token.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace reckon {

void StopOnSignals(StopToken* token) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread([token, set] {
    int signal = 0;
    sigwait(&set, &signal);
    token->Stop();
    sigwait(&set, &signal);
    _exit(128 + signal);
  }).detach();  // lives as long as the program
}

}  // namespace reckon
