#ifndef RECKON_COMMON_TASK_PROMPT_OVERLONG_H_
#define RECKON_COMMON_TASK_PROMPT_OVERLONG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"

namespace reckon {

// Problems that do not fit into the model's context: what they need, the prompt and all tokens that
// may follow it, is above the limit. One rule for training, evaluation and scoring, which
// data.overlong_problems and --overlong choose: they are refused before anything starts, or left
// out of training and counted wrong in every evaluation figure.
struct OverlongProblems {
  std::vector<size_t> indices;  // ascending
  int64_t first_tokens = 0;     // that the first of them needs
};

// How many tokens a problem's prompt has; or, without encoding it, an upper bound that is at most
// `enough`.
int64_t PromptTokens(const PromptFormatter& formatter, const Problem& problem, int64_t enough);

// `tokens`: how many a problem needs.
OverlongProblems FindOverlong(const std::vector<Problem>& problems, int64_t limit,
                              absl::FunctionRef<int64_t(const Problem&)> tokens);

// The refusal, one line that begins with `setting`: how many, the first with its file and line, its
// tokens and the limit. `need` says what the tokens are, `remedy` what to do. OK if there is none.
absl::Status RefuseOverlong(absl::string_view setting, const std::vector<Problem>& problems,
                            const OverlongProblems& overlong, int64_t limit, absl::string_view need,
                            absl::string_view remedy);

// Removes the problems at these ascending indices.
void RemoveProblems(const std::vector<size_t>& indices, std::vector<Problem>* problems);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_OVERLONG_H_
