#ifndef RECKON_COMMON_TASK_PROMPT_OVERLONG_H_
#define RECKON_COMMON_TASK_PROMPT_OVERLONG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/bad_records.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"

namespace reckon {

// Problems that do not fit into the model's context: what they need, the prompt and all tokens that
// may follow it, is above the limit. One rule for training, evaluation and scoring, which
// data.overlong_problems and --overlong choose: they are refused before anything starts, or left
// out of training and counted wrong in every evaluation figure.
struct OverlongProblems {
  std::vector<size_t> indices;  // ascending
  BadRecords named;             // with the tokens that each needs
};

// How many tokens a problem's prompt has; or, without encoding it, an upper bound that is at most
// `enough`.
int64_t PromptTokens(const PromptFormatter& formatter, const Problem& problem, int64_t enough);

// `tokens`: how many a problem needs.
OverlongProblems FindOverlong(const std::vector<Problem>& problems, int64_t limit,
                              absl::FunctionRef<int64_t(const Problem&)> tokens);

// The refusal: a line that begins with `setting`, says how many they are and what to do, and then a
// line for each with its file and line; of one alone it is one line. `limit`: "the model's 1024
// positions". `need` says what the tokens are, `remedy` what to do. OK if there is none.
absl::Status RefuseOverlong(absl::string_view setting, const std::vector<Problem>& problems,
                            const OverlongProblems& overlong, absl::string_view limit,
                            absl::string_view need, absl::string_view remedy);

// Removes the problems at these ascending indices.
void RemoveProblems(const std::vector<size_t>& indices, std::vector<Problem>* problems);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_OVERLONG_H_
