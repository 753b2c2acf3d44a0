#ifndef RECKON_COMMON_TEXT_UTF8_H_
#define RECKON_COMMON_TEXT_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

struct Utf8Char {
  // kInvalid where the bytes are no character; `length` is then that of the longest beginning of a
  // character, at least 1, which is what Unicode wants replaced by one U+FFFD.
  static constexpr char32_t kInvalid = 0xffffffff;
  char32_t code;
  size_t length;  // bytes
};

// The character at `at`, which must be inside `text`.
Utf8Char Utf8At(absl::string_view text, size_t at);

bool IsUtf8(absl::string_view text);

// The text with U+FFFD for what is not UTF-8, as Rust's String::from_utf8_lossy puts it.
std::string RepairUtf8(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_UTF8_H_
