#ifndef RECKON_CLI_REPORT_RUN_PAGE_H_
#define RECKON_CLI_REPORT_RUN_PAGE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/report/rollout_sample.h"
#include "cli/report/run_results.h"
#include "common/base/stop.h"
#include "common/telemetry/metrics_file.h"
#include "proto/config.pb.h"
#include "proto/report.pb.h"

namespace reckon {

// What the files of a run's folder say, and a sample of its rollouts.
struct ReportedRun {
  std::string folder;  // as the user named it
  RunConfig config;
  RunResults results;
  std::vector<MetricsLine> lines;  // of metrics.jsonl
  std::optional<Progress> progress;
  std::string rollouts = "null";  // for the browser: BrowserData of rollout_browser.h
};

// Reads everything but the rollouts.
absl::StatusOr<ReportedRun> ReadReportedRun(const std::string& folder);
// Reads the rollouts. What it needs of the coordinator is over when it returns.
absl::StatusOr<std::string> ReadBrowserData(const std::string& folder, const SampleLimits& limits,
                                            std::stop_token stop);

// The page of `reckon report`, one HTML file that needs nothing else. docs/looking.md says how to
// read it.
std::string RunReport(const std::vector<ReportedRun>& runs);

// The page of `reckon watch`: the same, whose script asks its server for the parts that change.
std::string LivePage(const std::string& title);
// Those parts: what stands above the browser, as HTML.
std::string RunSummary(const std::vector<ReportedRun>& runs);

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_RUN_PAGE_H_
