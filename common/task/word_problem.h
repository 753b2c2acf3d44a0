#ifndef RECKON_COMMON_TASK_WORD_PROBLEM_H_
#define RECKON_COMMON_TASK_WORD_PROBLEM_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/task/problem.h"
#include "common/text/json.h"

namespace reckon {

// Records of the two public files of the SVAMP repository (Patel et al., arXiv 2103.07191), known
// by the names of their fields. Pure functions; INVALID_ARGUMENT names the field.

// SVAMP.json: Body, Question, Equation (infix), Answer, Type.
bool IsSvamp(const nlohmann::json& record);
// mawps-asdiv-a_train.csv: Question, Numbers, Equation (prefix), Answer and others. Its text is cut
// into words with spaces between, with number0, number1 in place of numbers.
bool IsMawps(const nlohmann::json& record);

// The worked solution is made of the equation (steps as GSM8K marks them, then "#### N"), since the
// files have none. It is empty where the equation does not give the answer, as in 1 of SVAMP's
// 1,000 and 10 of the other's 3,138; an answer rounded to its own digits counts as given.
absl::StatusOr<Problem> ReadSvamp(const nlohmann::json& record);
absl::StatusOr<Problem> ReadMawps(const nlohmann::json& record);

// One text of the two. A body that ends no sentence gets a full stop; if its last sentence begins
// with "If", a comma, and the question goes on in lower case: "If he had $4, how much is left?"
std::string JoinBody(absl::string_view body, absl::string_view question);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_WORD_PROBLEM_H_
