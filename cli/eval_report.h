#ifndef RECKON_CLI_EVAL_REPORT_H_
#define RECKON_CLI_EVAL_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "common/plan/group_metrics.h"

namespace reckon {

// What one plan over the problems gave.
struct EvalOutcome {
  GroupMetrics metrics;
  uint64_t set_aside = 0;
  uint64_t tokens = 0;
  double seconds = 0;
};

struct EvalRow {
  std::string name;
  Estimate estimate;
};

// What `reckon eval` prints: a table for people, or with --json the same and more. `sampled`: null
// without samples.
void PrintEvalTable(const EvalOptions& options, size_t problems, const std::vector<EvalRow>& rows,
                    const EvalOutcome& greedy, const EvalOutcome* sampled);
void PrintEvalJson(const EvalOptions& options, size_t problems, const std::vector<EvalRow>& rows,
                   const EvalOutcome& greedy, const EvalOutcome* sampled);

}  // namespace reckon

#endif  // RECKON_CLI_EVAL_REPORT_H_
