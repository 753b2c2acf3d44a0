#ifndef RECKON_CLI_SWEEP_SWEEP_RESULTS_H_
#define RECKON_CLI_SWEEP_SWEEP_RESULTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/report/run_results.h"
#include "cli/sweep/seed_statistics.h"
#include "cli/sweep/sweep_plan.h"

namespace reckon {

// What became of a run.
struct RunOutcome {
  std::string state;  // "finished", "failed", "interrupted", "not started"
  std::string error;  // of a failed run: its last words
  RunResults results;
};

// The metrics of evaluations that reports show, in this order.
inline constexpr const char* kReportMetrics[] = {"maj@1", "maj@K", "rerank@K", "rerank_weighted@K",
                                                 "pass@K"};

// Reads the folders of all runs of a plan. `failures`: last words by name of the run.
absl::StatusOr<std::vector<RunOutcome>> ReadOutcomes(
    const SweepPlan& plan, const std::map<std::string, std::string>& failures);

// Runs of one arm that differ in their seed.
struct ArmResults {
  std::string label;
  std::vector<std::pair<std::string, std::string>> values;  // of the axes
  uint32_t actors = 0, ranks = 0;
  size_t runs = 0, finished = 0;

  // One for each evaluation, over the seeds that have it.
  struct Point {
    std::string name;  // "ei_1_round_2"
    SeedEstimate samples, seconds;
    std::map<std::string, SeedEstimate> metrics;  // by name; those that it has
  };
  std::vector<Point> evaluations;
  struct Round {
    SeedEstimate samples, reward, length;
  };
  std::vector<Round> rounds;
  // Over finished runs.
  SeedEstimate sampled_tokens_per_s, trained_tokens_per_s, seconds;

  // The last evaluation, null if there is none.
  const Point* last() const { return evaluations.empty() ? nullptr : &evaluations.back(); }
};

// The arms of a plan, in the order of the sweep file. `outcomes` has one for each run.
std::vector<ArmResults> SummarizeArms(const SweepPlan& plan,
                                      const std::vector<RunOutcome>& outcomes);

// One row for each evaluation of each run, or one for a run that has none, with a header line; RFC
// 4180. docs/sweeps.md lists the columns.
std::string ResultsCsv(const SweepPlan& plan, const std::vector<RunOutcome>& outcomes);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_RESULTS_H_
