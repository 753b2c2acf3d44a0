#ifndef RECKON_COMMON_TASK_DATASET_WORD_PROBLEM_H_
#define RECKON_COMMON_TASK_DATASET_WORD_PROBLEM_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/problem.h"
#include "common/text/json.h"

namespace reckon {

// Records of the two public files of the SVAMP repository (Patel et al., arXiv 2103.07191), which
// are recognised by the names of their fields. Pure functions. INVALID_ARGUMENT names the field.

// SVAMP.json: Body, Question, Equation (infix), Answer, Type.
bool IsSvamp(const nlohmann::json& record);
// mawps-asdiv-a_train.csv: Question, Numbers, Equation (prefix), Answer and others. Its text is
// tokenised with spaces, and its numbers are replaced by number0, number1 and so on.
bool IsMawps(const nlohmann::json& record);

// The files have no worked solutions, so one is made from the equation: its steps as GSM8K marks
// them, then "#### N". It is empty if the value of the equation, rounded to the digits of the
// answer, is not the answer; so it is in 1 of SVAMP's 1,000 records and in 10 of the other's 3,138.
absl::StatusOr<Problem> ReadSvamp(const nlohmann::json& record);
absl::StatusOr<Problem> ReadMawps(const nlohmann::json& record);

// Joins a body and its question. A body without a punctuation mark at its end gets a full stop, or
// a comma if its last sentence begins with "If", which the question continues in lower case: "If he
// had $4, how much is left?"
std::string JoinBody(absl::string_view body, absl::string_view question);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_WORD_PROBLEM_H_
