#ifndef RECKON_LEARNER_EVALUATE_EVALUATE_H_
#define RECKON_LEARNER_EVALUATE_EVALUATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/context/context.h"
#include "proto/report.pb.h"

namespace reckon {

// Evaluates the newest version on the problems of data.eval. Only rank 0 calls it; the other
// ranks wait for it at their next collective.
//
//   1. plan eval/<index>_<name>/greedy: one sample a problem at temperature 0 -> maj@1
//   2. plan eval/<index>_<name>/samples, if eval.samples is K > 0: K samples a problem at
//      eval.temperature -> maj@K, pass@K, and with a reward model (eval.orm) rerank@K
//   3. writes eval/<index>_<name>.json, the metrics val/* and a summary line; increments
//      cursor.evals
//
// A resumed run finds the file of an evaluation that ended before the last checkpoint was written
// and reports it again instead of repeating 1 and 2.
//
// `step_label`: the tokens of Algorithm::StepLabel, for the newest policy.
absl::StatusOr<Evaluation> Evaluate(LeaderContext& leader, const std::string& name,
                                    const std::vector<uint32_t>& step_label);

// Returns the closing table, one line a row, of all evaluations of the run, and writes them to
// eval/summary.json.
absl::StatusOr<std::vector<std::string>> SummariseEvaluations(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_EVALUATE_EVALUATE_H_
