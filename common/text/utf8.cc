#include "common/text/utf8.h"

#include <cstdint>

namespace reckon {

Utf8Char Utf8At(absl::string_view text, size_t at) {
  auto byte = [&](size_t i) -> uint8_t { return at + i < text.size() ? text[at + i] : 0; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  // Range of the second byte: narrower for some leads, against overlong forms, surrogates and
  // numbers above U+10FFFF (Unicode, table 3-7).
  size_t length;
  uint8_t low = 0x80, high = 0xbf;
  char32_t code;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
    code = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3;
    code = lead & 0x0f;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    code = lead & 0x07;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return {Utf8Char::kInvalid, 1};
  }
  for (size_t i = 1; i < length; ++i) {
    const uint8_t next = byte(i);
    if (next < low || next > high) return {Utf8Char::kInvalid, i};
    code = code << 6 | (next & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return {code, length};
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
