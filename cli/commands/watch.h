#ifndef RECKON_CLI_COMMANDS_WATCH_H_
#define RECKON_CLI_COMMANDS_WATCH_H_

#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

struct WatchOptions {
  std::string run;  // run directory
  int port = 0;     // on loopback; 0: any free one
};

// `reckon watch`: serves the run's report to browsers of this machine, and keeps it up to date
// until it is stopped.
absl::Status Watch(const WatchOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddWatch(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_WATCH_H_
