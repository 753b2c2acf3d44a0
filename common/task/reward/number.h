#ifndef RECKON_COMMON_TASK_REWARD_NUMBER_H_
#define RECKON_COMMON_TASK_REWARD_NUMBER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Returns the canonical form of a decimal number of any length, so that two spellings of one number
// are equal strings. Exact, because it never becomes a floating-point number. Removes commas,
// dollar signs, a plus sign, a full stop at the end, and leading and trailing zeros:
//
//   "1,000.50" -> "1000.5"     "$18."  -> "18"     "-0"  -> "0"     "18.." -> nullopt
//
// Returns nullopt when the text is not a number. Linear in the text's length.
std::optional<std::string> CanonicalNumber(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_NUMBER_H_
