#ifndef RECKON_CLI_COMMANDS_DRY_RUN_H_
#define RECKON_CLI_COMMANDS_DRY_RUN_H_

#include "absl/status/status.h"
#include "cli/commands/resource_plan.h"
#include "proto/config.pb.h"

namespace reckon {

// `reckon train --dry-run`: prints the resolved config, the stages with their numbers of samples,
// and the memory and disk space that the run will take. Starts and writes nothing. Files that do
// not exist are no error: what depends on them is estimated or left out, and listed at the end.
absl::Status DryRun(const RunConfig& config, Site site);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_DRY_RUN_H_
