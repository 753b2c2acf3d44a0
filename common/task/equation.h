#ifndef RECKON_COMMON_TASK_EQUATION_H_
#define RECKON_COMMON_TASK_EQUATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// An equation of a data file, worked out. Pure functions; INVALID_ARGUMENT says what is wrong.
struct WorkedEquation {
  double value = 0;
  // One line an operation, as GSM8K marks it: "76-25=<<76-25=51>>51". Empty for a bare number.
  std::string steps;
};

// Tokens with spaces between: numbers, + - * /, parentheses (SVAMP: "( 76.0 - 25.0 )"; * and /
// before + and -), or the operator in front of its two operands (MAWPS: "- 100 * 3 12").
absl::StatusOr<WorkedEquation> WorkInfix(absl::string_view equation);
absl::StatusOr<WorkedEquation> WorkPrefix(absl::string_view equation);

// 51 for 51.0; at most ten digits, and no exponent.
std::string PlainNumber(double value);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_EQUATION_H_
