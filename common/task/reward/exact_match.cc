#include "common/task/reward/exact_match.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/task/answer/boxed.h"
#include "common/task/answer/math_answer.h"
#include "common/task/answer/text_answer.h"
#include "common/task/reward/number.h"

namespace reckon {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// The character classes [0-9.,] and [$0-9.,] of the two rules.
bool IsStrictChar(char c) { return IsDigit(c) || c == '.' || c == ','; }
bool IsFlexibleChar(char c) { return IsStrictChar(c) || c == '$'; }

// A part of a text, by its offsets.
struct Part {
  size_t begin = 0, end = 0;
};

std::optional<Part> MatchStrict(absl::string_view completion) {
  constexpr absl::string_view kMark = "#### ";
  for (size_t at = completion.find(kMark); at != absl::string_view::npos;
       at = completion.find(kMark, at + 1)) {
    const size_t start = at + kMark.size();
    size_t digits = start;
    if (digits < completion.size() && completion[digits] == '-') ++digits;
    size_t end = digits;
    while (end < completion.size() && IsStrictChar(completion[end])) ++end;
    if (end > digits) return Part{start, end};
  }
  return std::nullopt;
}

std::optional<Part> MatchFlexible(absl::string_view completion) {
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
      return Part{start, end};
    }
    end = start;
  }
  return std::nullopt;
}

std::optional<std::string> TextOf(absl::string_view completion, const std::optional<Part>& part) {
  if (!part.has_value()) return std::nullopt;
  return std::string(completion.substr(part->begin, part->end - part->begin));
}

bool ConsumeSpace(absl::string_view* text) {
  return absl::ConsumePrefix(text, " ") || absl::ConsumePrefix(text, "\xc2\xa0") ||
         absl::ConsumePrefix(text, "\xe2\x80\xaf");
}

bool ConsumeOneOf(absl::string_view chars, absl::string_view* text) {
  if (text->empty() || chars.find(text->front()) == absl::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

bool StartsWithDigit(absl::string_view text) { return !text.empty() && IsDigit(text.front()); }

// The characters 1/4, 1/2 and 3/4.
bool ConsumeFractionCharacter(absl::string_view* text) {
  if (text->size() < 2 || (*text)[0] != '\xc2' || (*text)[1] < '\xbc' || (*text)[1] > '\xbe') {
    return false;
  }
  text->remove_prefix(2);
  return true;
}

// What continues an expression that ends with a digit.
bool ConsumeContinuation(absl::string_view* text) {
  absl::string_view rest = *text;
  if (ConsumeFractionCharacter(text)) return true;
  if (ConsumeOneOf("eE", &rest)) {
    ConsumeOneOf("+-", &rest);
  } else {
    const bool space = ConsumeSpace(&rest);
    const bool sign = ConsumeOneOf("/:*+-=^", &rest);
    if (!space && !sign) return false;
    if (sign) ConsumeSpace(&rest);
    ConsumeOneOf("$", &rest);
  }
  if (!StartsWithDigit(rest)) return false;
  while (!rest.empty() && IsStrictChar(rest.front())) rest.remove_prefix(1);
  *text = rest;
  return true;
}

void WidenToTheRight(absl::string_view completion, Part* part) {
  absl::string_view rest = completion.substr(part->end);
  while (IsDigit(completion[completion.size() - rest.size() - 1]) && ConsumeContinuation(&rest)) {
  }
  part->end = completion.size() - rest.size();
}

// Moves `begin` over the run of number characters, and the minus, that ends with the digit before
// `end`. False if there is none.
bool MoveOverRun(absl::string_view text, size_t end, size_t* begin) {
  if (end == 0 || !IsDigit(text[end - 1])) return false;
  size_t start = end;
  while (start > 0 && IsFlexibleChar(text[start - 1])) --start;
  if (start > 0 && text[start - 1] == '-') --start;
  *begin = start;
  return true;
}

void WidenToTheLeft(absl::string_view text, Part* part) {
  constexpr absl::string_view kNoBreakSpaces[] = {"\xc2\xa0", "\xe2\x80\xaf"};
  size_t& begin = part->begin;
  bool fraction = false;
  while (begin > 0) {
    const absl::string_view before = text.substr(0, begin);
    const bool digit = IsDigit(text[begin]);
    const char last = before.back();
    if (digit && (last == '/' || last == ':') && MoveOverRun(text, begin - 1, &begin)) {
      fraction = last == '/';
      continue;
    }
    // An exponent, whose minus is already a part of the match.
    size_t e = begin - 1;
    if (last == '+' && e > 0) --e;
    if ((digit || text[begin] == '-') && (text[e] == 'e' || text[e] == 'E') &&
        MoveOverRun(text, e, &begin)) {
      continue;
    }
    if (digit && fraction && last == ' ' && MoveOverRun(text, begin - 1, &begin)) break;
    bool moved = false;
    for (absl::string_view space : kNoBreakSpaces) {
      moved = moved || (digit && absl::EndsWith(before, space) &&
                        MoveOverRun(text, before.size() - space.size(), &begin));
    }
    if (!moved) break;
  }
}

FoundAnswer Found(absl::string_view completion, const Part& part) {
  FoundAnswer out;
  out.text = *TextOf(completion, part);
  // Nothing follows that tells where the number ends.
  const absl::string_view rest = completion.substr(part.end);
  out.open = rest.find_first_not_of(" eE/:*+-=^$\xc2\xa0\xe2\x80\xaf") == absl::string_view::npos;
  return out;
}

}  // namespace

std::optional<std::string> ExtractStrict(absl::string_view completion) {
  return TextOf(completion, MatchStrict(completion));
}

std::optional<std::string> ExtractFlexible(absl::string_view completion) {
  return TextOf(completion, MatchFlexible(completion));
}

std::optional<FoundAnswer> FindStrict(absl::string_view completion) {
  std::optional<Part> part = MatchStrict(completion);
  if (!part.has_value()) return std::nullopt;
  WidenToTheRight(completion, &*part);
  return Found(completion, *part);
}

std::optional<FoundAnswer> FindFlexible(absl::string_view completion) {
  std::optional<Part> part = MatchFlexible(completion);
  if (!part.has_value()) return std::nullopt;
  absl::string_view rest = completion.substr(part->end);
  if (IsDigit(completion[part->end - 1]) && ConsumeFractionCharacter(&rest)) part->end += 2;
  WidenToTheLeft(completion, &*part);
  return Found(completion, *part);
}

namespace {

RewardValue ScoreBoxed(absl::string_view completion, bool truncated,
                       absl::string_view reference_answer) {
  RewardValue value;
  const std::optional<absl::string_view> found = FindBoxed(completion);
  if (!found.has_value() || found->empty()) {
    value.set_verdict(truncated ? TRUNCATED : UNPARSABLE);
    return value;
  }
  value.set_extracted(std::string(*found));
  const MathAnswer reference = ReadMathAnswer(reference_answer);
  const std::optional<bool> same = SameAnswer(ReadMathAnswer(*found), reference);
  if (same.has_value()) {
    value.set_verdict(*same ? CORRECT : WRONG);
    value.set_value(*same ? 1 : 0);
  } else {
    value.set_verdict(reference.kind == MathAnswer::kOpaque ? REFERENCE_UNPARSABLE : UNPARSABLE);
  }
  return value;
}

RewardValue ScoreText(absl::string_view completion, bool truncated,
                      absl::string_view reference_answer) {
  RewardValue value;
  const std::string reference = CanonicalText(reference_answer);
  const std::optional<MarkedAnswer> found = FindMarked(completion);
  if (reference.empty()) {
    value.set_verdict(REFERENCE_UNPARSABLE);
  } else if (!found.has_value() || (truncated && found->open)) {
    value.set_verdict(truncated ? TRUNCATED : UNPARSABLE);
  } else {
    const bool same = CanonicalText(found->text) == reference;
    value.set_extracted(std::string(found->text));
    value.set_verdict(same ? CORRECT : WRONG);
    value.set_value(same ? 1 : 0);
  }
  return value;
}

}  // namespace

RewardValue ScoreAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer) {
  RewardValue value;
  if (spec.kind() == RewardSpec::ANSWER_BOXED || spec.kind() == RewardSpec::ANSWER_TEXT) {
    value = spec.kind() == RewardSpec::ANSWER_BOXED
                ? ScoreBoxed(completion, truncated, reference_answer)
                : ScoreText(completion, truncated, reference_answer);
    value.set_name(spec.name());
    return value;
  }
  value.set_name(spec.name());
  const std::optional<std::string> reference = CanonicalNumber(reference_answer);
  const std::optional<FoundAnswer> found = spec.kind() == RewardSpec::EXACT_MATCH_FLEXIBLE
                                               ? FindFlexible(completion)
                                               : FindStrict(completion);
  std::optional<std::string> number;
  if (found.has_value() && !(truncated && found->open)) {
    value.set_extracted(found->text);
    number = CanonicalNumber(found->text);
  }
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

std::optional<std::string> CanonicalAnswer(RewardSpec::Kind kind, absl::string_view extracted) {
  if (kind == RewardSpec::PROCESS || kind == RewardSpec::SERVICE) {
    const absl::string_view text = absl::StripAsciiWhitespace(extracted);
    if (text.empty()) return std::nullopt;
    return std::string(text);
  }
  if (kind == RewardSpec::ANSWER_TEXT) {
    std::string text = CanonicalText(extracted);
    if (text.empty()) return std::nullopt;
    return text;
  }
  if (kind != RewardSpec::ANSWER_BOXED) return CanonicalNumber(extracted);
  const MathAnswer answer = ReadMathAnswer(extracted);
  return absl::StrCat(static_cast<int>(answer.kind), " ", answer.form);
}

}  // namespace reckon
