#include "common/task/reward/number.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

bool AllDigits(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> CanonicalNumber(absl::string_view text) {
  // As lm-evaluation-harness, which deletes commas and dollar signs anywhere in the text.
  std::string plain;
  for (char c : absl::StripAsciiWhitespace(text)) {
    if (c != ',' && c != '$') plain.push_back(c);
  }
  absl::string_view rest = plain;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (negative || (!rest.empty() && rest[0] == '+')) rest.remove_prefix(1);

  // A full stop that ends a sentence: "3.50." and "18.", but not "18..".
  if (!rest.empty() && rest.back() == '.') {
    rest.remove_suffix(1);
    if (!rest.empty() && rest.back() == '.') return std::nullopt;
  }

  absl::string_view whole = rest, fraction;
  if (size_t dot = rest.find('.'); dot != absl::string_view::npos) {
    whole = rest.substr(0, dot);
    fraction = rest.substr(dot + 1);
  }
  if (whole.empty() && fraction.empty()) return std::nullopt;
  if (!AllDigits(whole) || !AllDigits(fraction)) return std::nullopt;

  while (!whole.empty() && whole.front() == '0') whole.remove_prefix(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (whole.empty() && fraction.empty()) return "0";  // "-0" too
  return absl::StrCat(negative ? "-" : "", whole.empty() ? "0" : whole, fraction.empty() ? "" : ".",
                      fraction);
}

}  // namespace reckon
