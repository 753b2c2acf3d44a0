#ifndef RECKON_COMMON_TASK_DATASET_H_
#define RECKON_COMMON_TASK_DATASET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/problem.h"
#include "proto/config.pb.h"

namespace reckon {

enum class Split { kTrain, kEval };

// All problems of a split, in file order. A bad record is INVALID_ARGUMENT "file:line: what is
// wrong". NOT_FOUND names the config key whose file is missing.
//
// Without data.eval and with validation_fraction, both splits come of data.train: a problem is held
// out by a hash of its question alone. limit_train counts what is left. Training problems whose
// equation contradicts their answer are left out with a warning; more than one in twenty is an
// error.
absl::StatusOr<std::vector<Problem>> LoadProblems(const DataSettings& data, Split split);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_H_
