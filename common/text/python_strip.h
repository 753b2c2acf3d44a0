#ifndef RECKON_COMMON_TEXT_PYTHON_STRIP_H_
#define RECKON_COMMON_TEXT_PYTHON_STRIP_H_

#include "absl/strings/string_view.h"

namespace reckon {

// The text without white space at its ends, as Python's str.strip() and Jinja's `trim` see it:
// Unicode's, and the four information separators.
absl::string_view PythonStrip(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_PYTHON_STRIP_H_
