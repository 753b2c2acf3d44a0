#include "common/text/char_class.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <iterator>

namespace reckon {
namespace {

// ICU's tables count up to this version; what is newer comes from the lists below, so that the
// classes do not depend on which ICU is installed.
constexpr int kIcuVersion = 15;

struct Range {
  char32_t first, last;
};

// Letters and numbers of Unicode 15.1 and 16.0, in order.
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
    {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389},
    {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5}, {0x113b7, 0x113b7},
    {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0}, {0x13460, 0x143fa},
    {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
    {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d}};
constexpr Range kNewNumbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                 {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9},
                                 {0x1e5f1, 0x1e5fa}};
// Numbers of Unicode 17.0, which only IsNumeric counts.
constexpr Range kNewestNumbers[] = {{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}};

template <size_t kSize>
bool Contains(const Range (&ranges)[kSize], char32_t c) {
  auto after = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                [](char32_t value, const Range& r) { return value < r.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

bool IcuCounts(char32_t c) {
  UVersionInfo age;  // all zero where ICU knows no character
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] != 0 && (age[0] < kIcuVersion || (age[0] == kIcuVersion && age[1] == 0));
}

}  // namespace

CharClass ClassOf(char32_t c) {
  if (c < 0x80) {
    const char32_t lower = c | 0x20;
    if (lower >= 'a' && lower <= 'z') return CharClass::kLetter;
    if (c >= '0' && c <= '9') return CharClass::kNumber;
    if (c == ' ' || (c >= '\t' && c <= '\r')) return CharClass::kSpace;
    return CharClass::kOther;
  }
  if (c > 0x10ffff) return CharClass::kOther;
  if (!IcuCounts(c)) {
    if (Contains(kNewLetters, c)) return CharClass::kLetter;
    return Contains(kNewNumbers, c) ? CharClass::kNumber : CharClass::kOther;
  }
  const uint32_t category = U_GET_GC_MASK(static_cast<UChar32>(c));
  if (category & U_GC_L_MASK) return CharClass::kLetter;
  if (category & U_GC_N_MASK) return CharClass::kNumber;
  return u_isUWhiteSpace(static_cast<UChar32>(c)) ? CharClass::kSpace : CharClass::kOther;
}

bool IsNumeric(char32_t c) {
  return ClassOf(c) == CharClass::kNumber || (c >= 0x80 && Contains(kNewestNumbers, c));
}

}  // namespace reckon
