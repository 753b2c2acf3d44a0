#ifndef RECKON_COMMON_TASK_ANSWER_LATEX_VALUE_H_
#define RECKON_COMMON_TASK_ANSWER_LATEX_VALUE_H_

#include <optional>

#include "absl/types/span.h"
#include "common/task/answer/exact_value.h"
#include "common/task/answer/latex_tokens.h"

namespace reckon {

// Reads one number or polynomial. All tokens must be a part of it:
//
//   sum      [+|-] product {(+|-) product}
//   product  power {(*|/| ) power}          "3 1/2" and 3\frac12 are mixed numbers
//   power    atom [!] [^ exponent]
//   atom     number, letter [_ index], \frac, \sqrt[n]{}, \binom, (sum), |number|, 0.\overline{3}
//
// nullopt: something else; what ExactArithmetic cannot decide; what two readers would read
// differently, as 1/2x, or "2 3"; nested more than 24 deep.
std::optional<ExactValue> ReadValue(absl::Span<const LatexToken> tokens,
                                    ExactArithmetic* arithmetic);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_LATEX_VALUE_H_
