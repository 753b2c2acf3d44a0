#ifndef RECKON_COMMON_TASK_DATASET_PROBLEM_READER_H_
#define RECKON_COMMON_TASK_DATASET_PROBLEM_READER_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/task/dataset/problem.h"
#include "common/text/json.h"
#include "proto/config.pb.h"

namespace reckon {

// From a record of a data file to a problem, by the keys of the settings, or by those of SVAMP's
// files (word_problem.h). Pure functions.

// INVALID_ARGUMENT says which field is wrong, and which setting names it.
absl::StatusOr<Problem> ReadProblem(const DataSettings& data, const nlohmann::json& record,
                                    AnswerUse use);

// Whether the record's answer can be compared with its equation: then a problem without a solution
// is one where the two differ.
bool HasEquation(const nlohmann::json& record);

// Whether equality with the answer can be decided.
bool IsDecidable(DataSettings::Answers answers, const std::string& answer);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_PROBLEM_READER_H_
