#ifndef RECKON_CLI_COMMANDS_SHOW_H_
#define RECKON_CLI_COMMANDS_SHOW_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

struct ShowOptions {
  std::string run;   // run directory
  std::string plan;  // empty: the newest plan that has a batch
  uint64_t limit = 5;
  bool wrong = false, correct = false;  // rollouts with this verdict only; not both
};

// `reckon show`: the plans of a run and some rollouts of one of them. Works while the run is in
// progress and after it.
absl::Status Show(const ShowOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddShow(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SHOW_H_
