#ifndef RECKON_COMMON_TASK_REWARD_NUMBER_H_
#define RECKON_COMMON_TASK_REWARD_NUMBER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Returns the canonical form of a number, so that two spellings of one number are equal strings.
// Exact, because it never becomes a floating-point number. The whole text must be the number, in
// one of these forms:
//
//   decimal       "18"  "-0.50"  ".5"          any length
//   thousands     "1 000"  "12 500.25"         groups of three after one to three digits, separated
//                                              by a space, a no-break or a narrow no-break space
//   exponent      "1e5"  "2.5E-3"              up to 400
//   fraction      "1/2"  "3 1/2"               up to 9 digits in each part, 18 above the line
//
// Removed are commas and dollar signs anywhere (as lm-evaluation-harness does), a plus sign, a full
// stop at the end, a percent sign, which is a unit like the dollar sign (a solution that ends in
// "25%" answers a question whose reference is 25), and leading and trailing zeros:
//
//   "1,000.50" -> "1000.5"   "$18." -> "18"   "-0" -> "0"    "25 %" -> "25"   "2/4" -> "0.5"
//   "1/3" -> "1/3"           "3 1/2" -> "3.5" "1e5" -> "100000"
//
// Returns nullopt when the text is no number: "18..", "10:30", "1/0", "12 apples". Linear in the
// text's length.
std::optional<std::string> CanonicalNumber(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_NUMBER_H_
