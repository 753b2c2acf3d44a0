#ifndef RECKON_COMMON_TASK_DATASET_EQUATION_H_
#define RECKON_COMMON_TASK_DATASET_EQUATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The value of an equation of a data file and how it is reached. Pure functions of any bytes.
struct WorkedEquation {
  double value = 0;
  // One line for each operation, as GSM8K marks it: "76-25=<<76-25=51>>51". Empty if the equation
  // is one number.
  std::string steps;
};

// The tokens of an equation are separated by spaces. Infix: numbers, + - * / with their usual
// precedence, and parentheses (SVAMP: "( 76.0 - 25.0 )"). Prefix: each operator before its two
// operands (MAWPS: "- 100 * 3 12"). INVALID_ARGUMENT: malformed, division by zero, nested deeper
// than 64, more than 1,000 tokens, or a number of 1e15 or more.
absl::StatusOr<WorkedEquation> WorkInfix(absl::string_view equation);
absl::StatusOr<WorkedEquation> WorkPrefix(absl::string_view equation);

// Writes 51.0 as "51". At most ten significant digits, no exponent.
std::string PlainNumber(double value);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_EQUATION_H_
