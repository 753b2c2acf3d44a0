#ifndef RECKON_COMMON_TASK_ANSWER_TEXT_ANSWER_H_
#define RECKON_COMMON_TASK_ANSWER_TEXT_ANSWER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Answers that are texts. Pure functions of any bytes, linear in their length.

// An answer in a completion.
struct MarkedAnswer {
  absl::string_view text;  // trimmed
  bool open = false;  // it ends where the text ends: if the text was cut, the answer may be too
};

// What follows the last "####" on its line. nullopt: there is no such mark, or nothing follows it.
std::optional<MarkedAnswer> FindMarked(absl::string_view text);

// The form that is equal for equal answers: runs of white space are one space, letters of ASCII are
// lower case, and one full stop at the end is left out. Nothing else is changed: "3.0" is not "3".
std::string CanonicalText(absl::string_view answer);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_TEXT_ANSWER_H_
