#ifndef RECKON_CLI_COMMANDS_SWEEP_H_
#define RECKON_CLI_COMMANDS_SWEEP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "cli/sweep/run_command.h"
#include "cli/sweep/sweep_file.h"
#include "common/base/stop.h"

namespace reckon {

struct SweepOptions {
  std::string sweep;         // file
  SweepOverrides overrides;  // "a.b=c"
  bool dry_run = false;      // print the plan and start nothing
  bool report_only = false;  // write the report of what there is and start nothing
  uint32_t parallel = 0;     // 0: as the file says
  SweepEngine engine = SweepEngine::kLocal;
};

// `reckon sweep`: executes the runs of a sweep file that are not finished yet, and writes
//
//   <output_dir>/<name>/results.csv, report.html   after every run
//                       runs/, logs/               a folder and a log for each run
//
// Prints the table of the report at the end. Nothing is started when a config is wrong, a folder
// holds another run, or the runs would not fit into memory. INTERNAL: some runs failed, and the
// message names them with their last words; the others are finished. CANCELLED: stopped by a
// signal.
absl::Status RunSweep(const SweepOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddSweep(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SWEEP_H_
