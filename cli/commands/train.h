#ifndef RECKON_CLI_COMMANDS_TRAIN_H_
#define RECKON_CLI_COMMANDS_TRAIN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

struct TrainOptions {
  std::string config;            // file
  std::vector<std::string> set;  // overrides, "a.b=c"
  bool dry_run = false;
  bool resume = false;
};

// `reckon train`: loads the config and runs it to the end, or only prints what it would do. Results
// go to stdout. Errors are one line that names the file, flag or config key and what to do; the
// last lines of a log may follow. CANCELLED: stopped by a signal.
absl::Status Train(const TrainOptions& options, std::stop_token stop);

// Runs a valid config in its run directory with all roles on this machine. `resume_command` is what
// the user types to resume, for messages.
absl::Status TrainConfig(RunConfig config, bool resume, const std::string& resume_command,
                         std::stop_token stop);

// An argument quoted for a shell, if it needs to be.
std::string ShellQuoted(const std::string& arg);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_TRAIN_H_
