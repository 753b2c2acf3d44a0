#ifndef RECKON_COMMON_TEXT_BYTE_ALPHABET_H_
#define RECKON_COMMON_TEXT_BYTE_ALPHABET_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace reckon {

// GPT-2's spelling of bytes in tokenizer.json: each byte is one printable character, its own
// Latin-1 one or, where that is white space or a control character, the next free one from U+0100.

// Returns the letter of a byte, in UTF-8.
absl::string_view LetterOfByte(uint8_t byte);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_BYTE_ALPHABET_H_
