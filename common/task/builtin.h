#ifndef RECKON_COMMON_TASK_BUILTIN_H_
#define RECKON_COMMON_TASK_BUILTIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset.h"
#include "common/task/problem.h"
#include "proto/config.pb.h"

namespace reckon {

// Word problems in GSM8K's manner with worked solutions, as a function of the seed: each is a walk
// through one of the stories in builtin_stories.cc, a sentence a step. All numbers are whole and
// not negative. Whatever the seeds and sizes, no problem of one split is in the other, nor is one
// that differs from it only in names and objects; a larger count only appends.
//
// INVALID_ARGUMENT: steps outside 1..4 or in the wrong order, max_number below 10, or fewer such
// problems exist.
absl::StatusOr<std::vector<Problem>> MakeBuiltinProblems(const BuiltinProblems& settings,
                                                         Split split, uint64_t count);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_BUILTIN_H_
