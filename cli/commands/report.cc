#include "cli/commands/report.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/launcher/run_dir.h"
#include "cli/report/rollout_sample.h"
#include "cli/report/run_page.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/telemetry/figures.h"

namespace reckon {

absl::Status Report(const ReportOptions& options, std::stop_token stop) {
  SampleLimits limits;
  limits.rollouts /= static_cast<double>(options.runs.size());
  limits.tokens /= static_cast<double>(options.runs.size());
  std::vector<ReportedRun> runs;
  for (const std::string& folder : options.runs) {
    // The rollouts first: they also tell whether this is a run.
    ASSIGN_OR_RETURN(std::string rollouts, ReadBrowserData(folder, limits, stop));
    ASSIGN_OR_RETURN(ReportedRun run, ReadReportedRun(folder));
    run.rollouts = std::move(rollouts);
    runs.push_back(std::move(run));
  }
  const std::string output =
      options.output.empty() ? AbsolutePath(options.runs[0]) + "/report.html" : options.output;
  const std::string page = RunReport(runs);
  RETURN_IF_ERROR(WriteFileAtomically(output, page));
  std::cout << output << ": " << FormatBytes(static_cast<double>(page.size())) << "\n";
  return absl::OkStatus();
}

CommandRun AddReport(CLI::App* app) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app->add_subcommand(
      "report", "Write one HTML file of runs: results, curves, time, and a browser of rollouts");
  command->add_option("run", options->runs, "run directories")->required();
  command->add_option("-o,--output", options->output,
                      "file to write; default: report.html in the first run's directory");
  command->footer(
      "Examples:\n"
      "  reckon report runs/quickstart\n"
      "  reckon report runs/ei runs/ppo -o compared.html");
  return [options](std::stop_token stop) { return Report(*options, stop); };
}

}  // namespace reckon
