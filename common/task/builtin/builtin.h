#ifndef RECKON_COMMON_TASK_BUILTIN_BUILTIN_H_
#define RECKON_COMMON_TASK_BUILTIN_BUILTIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset/dataset.h"
#include "common/task/dataset/problem.h"
#include "proto/config.pb.h"

namespace reckon {

// Returns `count` word problems in the manner of GSM8K with worked solutions, as a function of the
// seed. Each problem is a walk through one of the stories in builtin_stories.cc, with one sentence
// a solution step. All numbers are whole and not negative.
//
// For all seeds and sizes: no problem is in both splits, not even with other names and objects, and
// the first n problems do not depend on `count`.
//
// INVALID_ARGUMENT: min_steps and max_steps are not 1 <= min <= max <= 4, max_number is below 10,
// or there are fewer than `count` such problems.
absl::StatusOr<std::vector<Problem>> MakeBuiltinProblems(const BuiltinProblems& settings,
                                                         Split split, uint64_t count);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_BUILTIN_BUILTIN_H_
