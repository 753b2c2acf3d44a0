#ifndef RECKON_CLI_LAUNCHER_SHELL_H_
#define RECKON_CLI_LAUNCHER_SHELL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reckon {

// An argument quoted for a shell, if it needs to be.
std::string ShellQuoted(const std::string& argument);

// Runs a program of the PATH, as sbatch or kubectl, and returns what it wrote to stdout. NOT_FOUND:
// there is no such program. UNAVAILABLE: it ended with another status than 0; the message is what
// it wrote to stderr.
absl::StatusOr<std::string> RunTool(const std::vector<std::string>& argv);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_SHELL_H_
