#ifndef RECKON_CLI_COMMANDS_TRAIN_H_
#define RECKON_CLI_COMMANDS_TRAIN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands/model_facts.h"
#include "cli/launcher/run_dir.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

// Checks model, data and prompts of a config before anything is made for its run.
absl::StatusOr<ModelFacts> CheckInputs(const RunConfig& config);

// False, after printing the results: the run is finished and its config asks for no more. A run
// whose config asks for more is marked as not finished.
absl::StatusOr<bool> HasWork(const RunDir& run_dir);

struct TrainOptions {
  bool resume = false;
  // Every process serves /metrics on a free loopback port, which <run_dir>/targets tells.
  bool metrics = false;
  bool verbose = false;        // a terminal shows a line for each step
  std::string resume_command;  // what the user types to resume, for messages
};

// Runs a valid config in its run directory with all roles on this machine.
absl::Status TrainConfig(RunConfig config, const TrainOptions& options, std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_TRAIN_H_
