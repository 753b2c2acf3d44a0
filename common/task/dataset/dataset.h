#ifndef RECKON_COMMON_TASK_DATASET_DATASET_H_
#define RECKON_COMMON_TASK_DATASET_DATASET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset/bad_records.h"
#include "common/task/dataset/problem.h"
#include "proto/config.pb.h"

namespace reckon {

enum class Split { kTrain, kEval };

// The problems of a split, in file order; of a mixture, the sets interleaved by their shares
// (mixture.h), so that the first problems are of all sets.
struct Dataset {
  std::vector<Problem> problems;
  BadRecords left_out;  // by data.bad_records: LEAVE_OUT
  // What whoever starts a run should know, a line each: what was left out and why, and answers that
  // cannot be compared.
  std::vector<std::string> notes;
};

// Reads a split. INVALID_ARGUMENT names the records that are bad (BadRecords), all of them at once,
// or the one place from which on a file cannot be read; NOT_FOUND the config key whose file is
// missing. With data.bad_records: LEAVE_OUT only a split of which nothing is left is refused.
//
// With validation_fraction and without data.eval, both splits are made from data.train. Whether a
// problem is held out depends on a hash of its question alone, so it does not change when other
// problems are added. limit_train counts the training problems that remain. Training problems whose
// equation contradicts their answer are left out; more than one in twenty is an error.
//
absl::StatusOr<Dataset> LoadDataset(const DataSettings& data, Split split,
                                    AnswerUse use = AnswerUse::kCompared);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_DATASET_H_
