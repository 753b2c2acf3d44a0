#ifndef RECKON_COMMON_TEXT_NFC_H_
#define RECKON_COMMON_TEXT_NFC_H_

#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Returns the text in Unicode normalisation form C (UAX #15), for the characters of Unicode 9,
// where the tables of the `tokenizers` package end. Bytes that are not UTF-8 are kept.
std::string ToNfc(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_NFC_H_
