#ifndef RECKON_COMMON_TEXT_NFC_H_
#define RECKON_COMMON_TEXT_NFC_H_

#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Unicode normalisation form C (UAX #15), by ICU, over the characters of Unicode 9: what the
// `tokenizers` package does, whose tables end there. What is not UTF-8 is left as it is.
std::string ToNfc(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_NFC_H_
