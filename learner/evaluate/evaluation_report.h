#ifndef RECKON_LEARNER_EVALUATE_EVALUATION_REPORT_H_
#define RECKON_LEARNER_EVALUATE_EVALUATION_REPORT_H_

#include <map>
#include <string>
#include <vector>

#include "proto/config.pb.h"
#include "proto/report.pb.h"

namespace reckon {

// What a run shows of its evaluations. Pure functions.

// The metrics val/* of metrics.jsonl. A proportion has its interval beside it: val/maj@1,
// val/maj@1/low, val/maj@1/high.
std::map<std::string, double> EvaluationMetrics(const Evaluation& evaluation);

// "evaluate sft_1: maj@1  12.5% [10.0, 15.0]  maj@4 ...".
std::string EvaluationLine(const Evaluation& evaluation);

// Says, in a line, that an evaluation with samples has no maj@K (GroupMetrics::HasVotes) and what
// that means for best_metric. "" if it has.
std::string LeftOutNote(const RunConfig& config, const Evaluation& evaluation);

// The closing table: a row of headings, then a row an evaluation, and one for each of its sets.
std::vector<std::string> EvaluationTable(const std::vector<Evaluation>& evaluations);

}  // namespace reckon

#endif  // RECKON_LEARNER_EVALUATE_EVALUATION_REPORT_H_
