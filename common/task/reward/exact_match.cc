#include "common/task/reward/exact_match.h"

#include <utility>

#include "common/task/reward/number.h"

namespace reckon {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// The character classes [0-9.,] and [$0-9.,] of the two rules.
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
  // Each match is a maximal run of [$0-9.,] that is two or more characters long or one digit, with
  // the minus before it. So the last match is the last such run, found from the end.
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

RewardValue ScoreAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer) {
  RewardValue value;
  value.set_name(spec.name());
  const std::optional<std::string> reference = CanonicalNumber(reference_answer);
  std::optional<std::string> extracted = spec.kind() == RewardSpec::EXACT_MATCH_FLEXIBLE
                                             ? ExtractFlexible(completion)
                                             : ExtractStrict(completion);
  // The rules also match text that is not a number, such as an ellipsis.
  const std::optional<std::string> number =
      extracted.has_value() ? CanonicalNumber(*extracted) : std::nullopt;
  if (extracted.has_value()) value.set_extracted(*std::move(extracted));

  if (!reference.has_value()) {
    value.set_verdict(REFERENCE_UNPARSABLE);
  } else if (!number.has_value()) {
    value.set_verdict(truncated ? TRUNCATED : UNPARSABLE);
  } else if (*number == *reference) {
    value.set_verdict(CORRECT);
    value.set_value(1);
  } else {
    value.set_verdict(WRONG);
  }
  return value;
}

}  // namespace reckon
