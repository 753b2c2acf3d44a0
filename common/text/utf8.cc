#include "common/text/utf8.h"

#include <cstdint>

#include "absl/strings/strip.h"

namespace reckon {

Utf8Char Utf8At(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  // Unicode, table 3-7: how many bytes follow, and which may come first. The narrower bounds leave
  // out long forms, surrogates and what is above U+10FFFF.
  size_t follow = 0;
  uint8_t low = 0x80, high = 0xbf;
  char32_t code = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    follow = 1;
    code = lead & 0x1f;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    follow = 2;
    code = lead & 0x0f;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    follow = 3;
    code = lead & 0x07;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return {Utf8Char::kInvalid, 1};
  }
  for (size_t i = 1; i <= follow; ++i) {
    if (at + i == text.size() || byte(at + i) < low || byte(at + i) > high) {
      return {Utf8Char::kInvalid, i};
    }
    code = code << 6 | (byte(at + i) & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return {code, follow + 1};
}

absl::string_view WithoutByteOrderMark(absl::string_view text) {
  return absl::StripPrefix(text, "\xef\xbb\xbf");
}

bool IsUtf8(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = Utf8At(text, at);
    if (c.code == Utf8Char::kInvalid) return false;
    at += c.length;
  }
  return true;
}

std::string RepairUtf8(absl::string_view text, Utf8Repair repair) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = Utf8At(text, i);
    if (c.code != Utf8Char::kInvalid) {
      out.append(text.data() + i, c.length);
    } else {
      const size_t marks = repair == Utf8Repair::kEachByte ? c.length : 1;
      for (size_t mark = 0; mark < marks; ++mark) out += "\xef\xbf\xbd";
    }
    i += c.length;
  }
  return out;
}

}  // namespace reckon
