#ifndef RECKON_CLI_REPORT_RUN_RESULTS_H_
#define RECKON_CLI_REPORT_RUN_RESULTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/report.pb.h"

namespace reckon {

// What a run folder says of one run, finished or not. docs/metrics.md has the names of
// metrics.jsonl that it is made from.
struct RunResults {
  // An evaluation, and what the run had taken until then.
  struct Point {
    Evaluation evaluation;
    double samples = 0;  // sampled for training (total/num_samples)
    double tokens = 0;   // in these samples
    double seconds = 0;  // timing_s/total
  };
  // A round or step of sampling.
  struct Round {
    double samples = 0;  // sampled for training until its end
    double reward = 0;   // mean of its samples
    double length = 0;   // mean, tokens
  };
  std::vector<Point> evaluations;
  std::vector<Round> rounds;
  // Speeds over the whole run; 0: it has not done this.
  double sampled_tokens_per_s = 0;  // num_tokens / timing_s/gen of rounds and steps
  double trained_tokens_per_s = 0;  // num_tokens / time in updates
  double seconds = 0;
};

// Empty results for a folder that does not exist. Errors name the file.
absl::StatusOr<RunResults> ReadRunResults(const std::string& run_dir);

// A metric by its name in the reports, "maj@1" ... "rerank_weighted@K"; nothing if the evaluation
// has none.
std::optional<Estimate> MetricOf(const Evaluation& evaluation, absl::string_view name);

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_RUN_RESULTS_H_
