#ifndef RECKON_CLI_COMMANDS_ROLLOUTS_H_
#define RECKON_CLI_COMMANDS_ROLLOUTS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

struct RolloutsOptions {
  std::string run;     // run directory
  std::string plan;    // empty: all
  uint64_t limit = 0;  // rollouts; 0: all
  bool jsonl = false;  // one JSON object a line; else a line for humans
};

// `reckon rollouts`: the rollouts of a run that are in a batch, in the order of plans and batches.
absl::Status Rollouts(const RolloutsOptions& options, std::ostream* out, std::stop_token stop);

// Its flags.
CommandRun AddRollouts(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_ROLLOUTS_H_
