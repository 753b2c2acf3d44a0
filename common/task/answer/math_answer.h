#ifndef RECKON_COMMON_TASK_ANSWER_MATH_ANSWER_H_
#define RECKON_COMMON_TASK_ANSWER_MATH_ANSWER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// An answer as MATH (Hendrycks et al. 2021) writes it, in a form that decides equality. Pure
// functions of any bytes, with bounded work.
struct MathAnswer {
  enum Kind {
    // Numbers, polynomials, tuples, intervals, unions, sets, matrices: equal exactly if the forms
    // are.
    kExact,
    kText,    // words: equal if the forms are
    kOpaque,  // all else, as sin x, 1010_2, an equation: equal if the forms are, else not decided
  };
  Kind kind = kOpaque;
  std::string form;
};

// Reads a whole answer. Equal are, among others:
//
//   1/2  \frac12  0.5  .50        1,000  1{,}000  1000      2^{10}  1024     25\%  25
//   \sqrt{8}  2\sqrt2             \frac{1}{\sqrt2}  \frac{\sqrt2}{2}         3\frac12  7/2
//   (x+1)^2  x^2+2x+1             x = 5  5                  y = 2x  2x       5\text{ cm}  5
//   1, 2  \{2,1\}  "2 and 1"      x > 3  (3,\infty)         \pm 2  \{-2,2\}  [0,1) \left[0,1\right)
//   \text{ Even }  even           \text{(B)}  B
//
// A percent sign and a unit have no value, as in number.h. Decimals are exact: 0.333 is not 1/3.
// e and pi are taken as independent. An answer of more than 1,000 bytes is opaque.
MathAnswer ReadMathAnswer(absl::string_view text);

// nullopt: not decided.
std::optional<bool> SameAnswer(const MathAnswer& a, const MathAnswer& b);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_MATH_ANSWER_H_
