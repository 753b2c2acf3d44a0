#include "common/task/reward/number.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace reckon {
namespace {

// So that whole * denominator + numerator fits into 64 bits, and a canonical form is read again.
constexpr size_t kMaxFractionDigits = 9, kMaxNumeratorDigits = 18;
constexpr int kMaxExponent = 400;
constexpr absl::string_view kSpaces[] = {" ", "\xc2\xa0", "\xe2\x80\xaf"};

bool AllDigits(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isdigit(c); });
}

// Digits before and after the point.
struct Digits {
  std::string whole, fraction;
};

std::optional<Digits> ReadDecimal(absl::string_view text) {
  const size_t dot = text.find('.');
  Digits out = {std::string(text.substr(0, dot)), ""};
  if (dot != absl::string_view::npos) {
    out.fraction = std::string(text.substr(dot + 1));
    if (out.fraction.empty()) return std::nullopt;
  }
  if (out.whole.empty() && out.fraction.empty()) return std::nullopt;
  if (!AllDigits(out.whole) || !AllDigits(out.fraction)) return std::nullopt;
  return out;
}

std::string Canonical(bool negative, const Digits& digits) {
  absl::string_view whole = digits.whole, fraction = digits.fraction;
  while (!whole.empty() && whole.front() == '0') whole.remove_prefix(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (whole.empty() && fraction.empty()) return "0";  // "-0" too
  return absl::StrCat(negative ? "-" : "", whole.empty() ? "0" : whole, fraction.empty() ? "" : ".",
                      fraction);
}

// "1e5".
std::optional<Digits> ReadExponent(absl::string_view text, size_t e) {
  std::optional<Digits> digits = ReadDecimal(text.substr(0, e));
  absl::string_view exponent = text.substr(e + 1);
  const bool down = absl::ConsumePrefix(&exponent, "-");
  if (!down) absl::ConsumePrefix(&exponent, "+");
  int places = 0;
  if (!digits.has_value() || exponent.empty() || exponent.size() > 3 || !AllDigits(exponent) ||
      !absl::SimpleAtoi(exponent, &places) || places > kMaxExponent) {
    return std::nullopt;
  }
  std::string& from = down ? digits->whole : digits->fraction;
  const size_t moved = static_cast<size_t>(places);
  if (down) {
    if (from.size() < moved) from.insert(0, moved - from.size(), '0');
    digits->fraction.insert(0, from.substr(from.size() - moved));
    from.resize(from.size() - moved);
  } else {
    if (from.size() < moved) from.append(moved - from.size(), '0');
    digits->whole += from.substr(0, moved);
    from.erase(0, moved);
  }
  return digits;
}

std::optional<uint64_t> ReadPart(absl::string_view text, size_t max_digits) {
  uint64_t value = 0;
  if (text.empty() || text.size() > max_digits || !AllDigits(text) ||
      !absl::SimpleAtoi(text, &value)) {
    return std::nullopt;
  }
  return value;
}

// "1/2" and "3 1/2", with at most one space at each place.
std::optional<std::string> ReadFraction(bool negative, absl::string_view text, size_t slash) {
  absl::string_view above = text.substr(0, slash), below = text.substr(slash + 1);
  absl::ConsumeSuffix(&above, " ");
  absl::ConsumePrefix(&below, " ");
  const size_t space = above.rfind(' ');
  std::optional<uint64_t> whole = 0;
  if (space != absl::string_view::npos) {
    whole = ReadPart(above.substr(0, space), kMaxFractionDigits);
    above.remove_prefix(space + 1);
  }
  const std::optional<uint64_t> numerator = ReadPart(above, kMaxNumeratorDigits),
                                denominator = ReadPart(below, kMaxFractionDigits);
  if (!whole.has_value() || !numerator.has_value() || denominator.value_or(0) == 0) {
    return std::nullopt;
  }
  if (space != absl::string_view::npos && *numerator >= *denominator) return std::nullopt;
  const uint64_t common = std::gcd(*numerator, *denominator);
  const uint64_t n = *numerator / common, d = *denominator / common;
  const uint64_t units = *whole + n / d;
  uint64_t rest = d;
  while (rest % 2 == 0) rest /= 2;
  while (rest % 5 == 0) rest /= 5;
  if (rest != 1) {  // no decimal has this value
    return absl::StrCat(negative ? "-" : "", *whole * d + n, "/", d);
  }
  Digits digits = {absl::StrCat(units), ""};
  for (uint64_t left = n % d; left > 0;) {
    digits.fraction.push_back(static_cast<char>('0' + left * 10 / d));
    left = left * 10 % d;
  }
  return Canonical(negative, digits);
}

// Removes the spaces between groups of thousands; empty if there is another space.
std::string JoinThousands(absl::string_view text) {
  std::string out;
  const size_t dot = text.find('.');
  absl::string_view whole = text.substr(0, dot);
  bool first = true, joined = false;
  while (true) {
    const size_t digits = std::min(whole.find_first_not_of("0123456789"), whole.size());
    if (first ? digits == 0 : digits != 3) return "";
    absl::StrAppend(&out, whole.substr(0, digits));
    whole.remove_prefix(digits);
    if (whole.empty()) break;
    if (first && digits > 3) return "";
    const bool separated = std::any_of(std::begin(kSpaces), std::end(kSpaces), [&](auto space) {
      return absl::ConsumePrefix(&whole, space);
    });
    if (!separated) return "";
    first = false;
    joined = true;
  }
  if (!joined) return "";
  if (dot != absl::string_view::npos) absl::StrAppend(&out, text.substr(dot));
  return out;
}

}  // namespace

std::optional<std::string> CanonicalNumber(absl::string_view text) {
  // As lm-evaluation-harness, which deletes commas and dollar signs anywhere in the text.
  std::string plain;
  for (char c : absl::StripAsciiWhitespace(text)) {
    if (c != ',' && c != '$') plain.push_back(c);
  }
  absl::string_view rest = plain;
  const bool negative = absl::ConsumePrefix(&rest, "-");
  if (!negative) absl::ConsumePrefix(&rest, "+");
  absl::ConsumeSuffix(&rest, ".");  // ends a sentence: "3.50." and "18.", but not "18.."
  if (absl::ConsumeSuffix(&rest, "%")) absl::ConsumeSuffix(&rest, " ");

  if (const size_t slash = rest.find('/'); slash != absl::string_view::npos) {
    return ReadFraction(negative, rest, slash);
  }
  std::optional<Digits> digits;
  if (const size_t e = rest.find_first_of("eE"); e != absl::string_view::npos) {
    digits = ReadExponent(rest, e);
  } else if (const std::string joined = JoinThousands(rest); !joined.empty()) {
    digits = ReadDecimal(joined);
  } else {
    digits = ReadDecimal(rest);
  }
  if (!digits.has_value()) return std::nullopt;
  return Canonical(negative, *digits);
}

}  // namespace reckon
