#ifndef RECKON_CLI_COMMANDS_DOCTOR_H_
#define RECKON_CLI_COMMANDS_DOCTOR_H_

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

// `reckon doctor`: checks CPU, memory, disk, gRPC over the loopback interface and the programs of
// the roles, and prints one line for each. FAILED_PRECONDITION when a check failed.
absl::Status Doctor(std::stop_token stop);

// Its flags.
CommandRun AddDoctor(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_DOCTOR_H_
