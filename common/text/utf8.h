#ifndef RECKON_COMMON_TEXT_UTF8_H_
#define RECKON_COMMON_TEXT_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

struct Utf8Char {
  static constexpr char32_t kInvalid = 0xffffffff;
  char32_t code;
  size_t length;  // bytes
};

// Returns the character at `at`, which must be inside `text`. Where the bytes are not a character,
// the code is kInvalid and the length that of the maximal subpart, which Unicode (section 3.9)
// recommends to replace by one U+FFFD; at least 1.
Utf8Char Utf8At(absl::string_view text, size_t at);

// The text without the byte order mark that editors and spreadsheets of Windows write first.
absl::string_view WithoutByteOrderMark(absl::string_view text);

bool IsUtf8(absl::string_view text);

// What becomes one U+FFFD: a maximal subpart, as in Rust's String::from_utf8_lossy, or each byte
// of it, as in SentencePiece.
enum class Utf8Repair { kMaximalSubparts, kEachByte };

std::string RepairUtf8(absl::string_view text, Utf8Repair repair = Utf8Repair::kMaximalSubparts);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_UTF8_H_
