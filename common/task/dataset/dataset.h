#ifndef RECKON_COMMON_TASK_DATASET_DATASET_H_
#define RECKON_COMMON_TASK_DATASET_DATASET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset/problem.h"
#include "proto/config.pb.h"

namespace reckon {

enum class Split { kTrain, kEval };

// Returns all problems of a split, in file order. Errors: INVALID_ARGUMENT "file:line: what is
// wrong" for a bad record, NOT_FOUND with the config key whose file is missing.
//
// With validation_fraction and without data.eval, both splits are made from data.train. Whether a
// problem is held out depends on a hash of its question alone, so it does not change when other
// problems are added. limit_train counts the training problems that remain. Training problems whose
// equation contradicts their answer are skipped with a warning; more than one in twenty is an
// error.
//
// `own_rewards`: for rewards of the user's own (own_rewards.h). Problems keep all columns of their
// records, and their answers need not be numbers.
absl::StatusOr<std::vector<Problem>> LoadProblems(const DataSettings& data, Split split,
                                                  bool own_rewards = false);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_DATASET_H_
