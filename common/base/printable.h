#ifndef RECKON_COMMON_BASE_PRINTABLE_H_
#define RECKON_COMMON_BASE_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Returns text from a file or from the network in a form that is safe in a message: each byte that
// is not printable ASCII becomes '?', and text longer than max_length is cut and ends in "...".
std::string Printable(absl::string_view text, size_t max_length = 80);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_PRINTABLE_H_
