#ifndef RECKON_COMMON_TEXT_CHAR_CLASS_H_
#define RECKON_COMMON_TEXT_CHAR_CLASS_H_

#include <cstdint>

namespace reckon {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

// \p{L}, \p{N}, \s or none of them, as the `tokenizers` package's regular expressions see it
// (Unicode 16). A value that is not a character is kOther.
CharClass ClassOf(char32_t c);

// Whether the package's Digits pre-tokeniser splits here: Nd, Nl and No (Unicode 17).
bool IsNumeric(char32_t c);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_CHAR_CLASS_H_
