#ifndef RECKON_CLI_SWEEP_HTML_REPORT_H_
#define RECKON_CLI_SWEEP_HTML_REPORT_H_

#include <string>
#include <vector>

#include "cli/sweep/run_command.h"
#include "cli/sweep/sweep_file.h"
#include "cli/sweep/sweep_plan.h"
#include "cli/sweep/sweep_results.h"

namespace reckon {

// The report of a sweep: one HTML page that loads nothing from elsewhere and has no script, light
// or dark as the reader's system is. docs/sweeps.md says how to read it. `command` is what the user
// types to repeat the sweep; the runs' commands are in the page. Everything that comes from files
// is escaped.
std::string HtmlReport(const SweepFile& file, const SweepPlan& plan,
                       const std::vector<RunOutcome>& outcomes, const std::string& command,
                       SweepEngine engine);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_HTML_REPORT_H_
