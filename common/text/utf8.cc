#include "common/text/utf8.h"

#include <unicode/utf8.h>

namespace reckon {

Utf8Char Utf8At(absl::string_view text, size_t at) {
  size_t end = at;
  UChar32 code;
  U8_NEXT(text.data(), end, text.size(), code);
  return {code < 0 ? Utf8Char::kInvalid : static_cast<char32_t>(code), end - at};
}

bool IsUtf8(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = Utf8At(text, at);
    if (c.code == Utf8Char::kInvalid) return false;
    at += c.length;
  }
  return true;
}

std::string RepairUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = Utf8At(text, i);
    if (c.code == Utf8Char::kInvalid) {
      out += "\xef\xbf\xbd";
    } else {
      out.append(text.data() + i, c.length);
    }
    i += c.length;
  }
  return out;
}

}  // namespace reckon
