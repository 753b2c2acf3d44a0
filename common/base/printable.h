#ifndef RECKON_COMMON_BASE_PRINTABLE_H_
#define RECKON_COMMON_BASE_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Text from a file or the network as it may stand in a message: printable ASCII, '?' for what is
// not, cut to `max_length` with "..." behind.
std::string Printable(absl::string_view text, size_t max_length = 80);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_PRINTABLE_H_
