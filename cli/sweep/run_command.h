#ifndef RECKON_CLI_SWEEP_RUN_COMMAND_H_
#define RECKON_CLI_SWEEP_RUN_COMMAND_H_

#include <string>
#include <vector>

#include "cli/sweep/sweep_plan.h"

namespace reckon {

// Where the runs of a sweep compute.
enum class SweepEngine { kLocal, kSlurm, kKubernetes };

// The arguments of `reckon` for one run: the program that is started and the command that the
// reports print are these.
std::vector<std::string> RunArguments(const SweepRun& run, SweepEngine engine, bool resume);

// The same, as a user types it in the folder in which the sweep was started.
std::string RunCommandLine(const SweepRun& run, SweepEngine engine);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_RUN_COMMAND_H_
