#include "common/task/answer.h"

namespace reckon {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// [0-9.,] and [$0-9.,] of the two rules.
bool IsStrictChar(char c) { return IsDigit(c) || c == '.' || c == ','; }
bool IsFlexibleChar(char c) { return IsStrictChar(c) || c == '$'; }

}  // namespace

std::optional<std::string> ExtractStrict(absl::string_view completion) {
  constexpr absl::string_view kMark = "#### ";
  for (size_t at = completion.find(kMark); at != absl::string_view::npos;
       at = completion.find(kMark, at + 1)) {
    const size_t start = at + kMark.size();
    size_t digits = start;
    if (digits < completion.size() && completion[digits] == '-') ++digits;
    size_t end = digits;
    while (end < completion.size() && IsStrictChar(completion[end])) ++end;
    if (end > digits) return std::string(completion.substr(start, end - start));
  }
  return std::nullopt;
}

std::optional<std::string> ExtractFlexible(absl::string_view completion) {
  // Every match is a whole run of [$0-9.,] with the minus before it: a run of two or more, or a
  // lone digit. So the last match is the last such run, found from the end.
  size_t end = completion.size();
  while (end > 0) {
    if (!IsFlexibleChar(completion[end - 1])) {
      --end;
      continue;
    }
    size_t start = end;
    while (start > 0 && IsFlexibleChar(completion[start - 1])) --start;
    if (end - start >= 2 || IsDigit(completion[start])) {
      if (start > 0 && completion[start - 1] == '-') --start;
      return std::string(completion.substr(start, end - start));
    }
    end = start;
  }
  return std::nullopt;
}

}  // namespace reckon
