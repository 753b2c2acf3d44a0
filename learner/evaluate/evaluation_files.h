#ifndef RECKON_LEARNER_EVALUATE_EVALUATION_FILES_H_
#define RECKON_LEARNER_EVALUATE_EVALUATION_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/report.pb.h"

namespace reckon {

// The evaluations of a run, one JSON file each: <run_dir>/eval/<index>_<name>.json. Errors of the
// reading functions name the file.

absl::Status WriteEvaluation(const std::string& run_dir, const Evaluation& evaluation);
absl::StatusOr<Evaluation> ReadEvaluation(const std::string& run_dir, int64_t index,
                                          const std::string& name);
// All of them, by index. None when the run has no eval folder.
absl::StatusOr<std::vector<Evaluation>> ReadEvaluations(const std::string& run_dir);

// Writes them as one JSON array to eval/summary.json.
absl::Status WriteSummary(const std::string& run_dir, const std::vector<Evaluation>& evaluations);

}  // namespace reckon

#endif  // RECKON_LEARNER_EVALUATE_EVALUATION_FILES_H_
