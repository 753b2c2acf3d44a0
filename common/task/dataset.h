#ifndef RECKON_COMMON_TASK_DATASET_H_
#define RECKON_COMMON_TASK_DATASET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/problem.h"
#include "proto/config.pb.h"

namespace reckon {

enum class Split { kTrain, kEval };

// All problems of a split, in file order. A bad line is INVALID_ARGUMENT "file:line: what is
// wrong". Honours limit_train. NOT_FOUND names the config key whose file is missing.
absl::StatusOr<std::vector<Problem>> LoadProblems(const DataSettings& data, Split split);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_H_
