#include "common/task/reward/solution_steps.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/task/reward/exact_match.h"
#include "common/task/reward/number.h"

namespace reckon {
namespace {

std::optional<std::string> ResultOf(absl::string_view line) {
  const size_t close = line.rfind(">>");
  const size_t open = close == absl::string_view::npos ? close : line.rfind("<<", close);
  if (open != absl::string_view::npos) {
    const absl::string_view mark = line.substr(open + 2, close - open - 2);
    const size_t equals = mark.rfind('=');
    if (equals != absl::string_view::npos) return CanonicalNumber(mark.substr(equals + 1));
  }
  const std::optional<FoundAnswer> number = FindFlexible(line);
  return number.has_value() ? CanonicalNumber(number->text) : std::nullopt;
}

void AppendWithoutSpace(absl::string_view text, std::string* out) {
  for (char c : text) {
    if (!absl::ascii_isspace(c)) out->push_back(c);
  }
}

// One space between words, none at the ends.
std::string NormaliseSpace(absl::string_view text) {
  std::string out;
  for (char c : absl::StripAsciiWhitespace(text)) {
    if (!absl::ascii_isspace(c)) {
      out.push_back(c);
    } else if (out.back() != ' ') {  // out is not empty, as the text does not start with space
      out.push_back(' ');
    }
  }
  return out;
}

}  // namespace

std::vector<SolutionStep> SplitSteps(absl::string_view solution, bool truncated) {
  std::vector<SolutionStep> steps;
  for (size_t begin = 0; begin < solution.size();) {
    const size_t newline = solution.find('\n', begin);
    const size_t end = newline == absl::string_view::npos ? solution.size() : newline + 1;
    const absl::string_view line = absl::StripAsciiWhitespace(solution.substr(begin, end - begin));
    const bool cut = truncated && newline == absl::string_view::npos;
    if (!line.empty() && !absl::StartsWith(line, "####")) {
      steps.push_back({end, cut ? std::nullopt : ResultOf(line)});
    }
    begin = end;
  }
  return steps;
}

std::vector<double> MatchSteps(absl::Span<const SolutionStep> steps,
                               absl::Span<const SolutionStep> reference) {
  std::vector<double> values;
  size_t next = 0;
  for (const SolutionStep& step : steps) {
    double value = 0;
    for (size_t i = next; step.result.has_value() && i < reference.size(); ++i) {
      if (reference[i].result != step.result) continue;
      value = 1 / static_cast<double>(reference.size());
      next = i + 1;
      break;
    }
    values.push_back(value);
  }
  return values;
}

std::string EquationKey(absl::string_view solution) {
  // Finds <<(.*?)>> within a line. Linear, because `close` and `newline` only move forward.
  constexpr size_t kNone = absl::string_view::npos;
  std::string key;
  size_t close = 0, newline = 0;
  size_t open = solution.find("<<");
  while (open != kNone) {
    const size_t inside = open + 2;
    if (close < inside) close = solution.find(">>", inside);
    if (close == kNone) break;
    if (newline < inside) newline = std::min(solution.find('\n', inside), solution.size());
    if (newline < close) {
      open = solution.find("<<", newline);  // no later mark of this line is closed
      continue;
    }
    absl::StrAppend(&key, "<<");
    AppendWithoutSpace(solution.substr(inside, close - inside), &key);
    absl::StrAppend(&key, ">>");
    open = solution.find("<<", close + 2);
  }
  // A text without marks never equals a key of marks, so the two kinds cannot collide.
  return key.empty() ? NormaliseSpace(solution) : key;
}

}  // namespace reckon
