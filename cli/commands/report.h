#ifndef RECKON_CLI_COMMANDS_REPORT_H_
#define RECKON_CLI_COMMANDS_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

struct ReportOptions {
  std::vector<std::string> runs;  // run directories, one at least
  std::string output;             // file; empty: report.html in the first run's directory
};

// `reckon report`: one HTML file of runs that are in progress or over.
absl::Status Report(const ReportOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddReport(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_REPORT_H_
