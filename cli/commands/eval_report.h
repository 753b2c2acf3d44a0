#ifndef RECKON_CLI_COMMANDS_EVAL_REPORT_H_
#define RECKON_CLI_COMMANDS_EVAL_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands/eval.h"
#include "common/task/metrics/group_metrics.h"

namespace reckon {

// The result of one plan over the problems.
struct EvalOutcome {
  GroupMetrics metrics;
  uint64_t set_aside = 0;  // problems without a result, after max_attempts failures
  uint64_t tokens = 0;     // sampled
  double seconds = 0;
};

struct EvalRow {
  std::string name;  // "maj@4"
  Estimate estimate;
};

// Prints the result of `reckon eval` to stdout, as a table for humans or, with --json, as one
// object that has the verdicts, pass@k for powers of two and the numbers of distinct correct
// solutions as well. `sampled` is null without samples.
// `overlong` of the `problems` do not fit and count as wrong.
void PrintEvalTable(const EvalOptions& options, size_t problems, size_t overlong,
                    const std::vector<EvalRow>& rows, const EvalOutcome& greedy,
                    const EvalOutcome* sampled);
void PrintEvalJson(const EvalOptions& options, size_t problems, size_t overlong,
                   const std::vector<EvalRow>& rows, const EvalOutcome& greedy,
                   const EvalOutcome* sampled);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_EVAL_REPORT_H_
