#ifndef RECKON_CLI_COMMANDS_COMMAND_H_
#define RECKON_CLI_COMMANDS_COMMAND_H_

#include <functional>

#include "absl/status/status.h"
#include "common/base/stop.h"

namespace CLI {
class App;
}

namespace reckon {

// A command of `reckon` is a function that adds it to the command line, in the file of what it
// does:
//
//   CommandRun AddEval(CLI::App* app);
//
// It owns the options that its flags set, and returns what the command does once they are parsed.
// cli/main.cc has the table of all commands. Only the sources of commands include CLI11, which is
// slow to compile.
using CommandRun = std::function<absl::Status(std::stop_token)>;

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_COMMAND_H_
