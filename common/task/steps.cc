#include "common/task/steps.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/task/answer.h"

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
  std::optional<std::string> number = ExtractFlexible(line);
  return number.has_value() ? CanonicalNumber(*number) : std::nullopt;
}

}  // namespace

std::vector<Step> SplitSteps(absl::string_view solution) {
  std::vector<Step> steps;
  for (size_t begin = 0; begin < solution.size();) {
    const size_t newline = solution.find('\n', begin);
    const size_t end = newline == absl::string_view::npos ? solution.size() : newline + 1;
    const absl::string_view line = absl::StripAsciiWhitespace(solution.substr(begin, end - begin));
    if (!line.empty() && !absl::StartsWith(line, "####")) steps.push_back({end, ResultOf(line)});
    begin = end;
  }
  return steps;
}

std::vector<double> MatchSteps(absl::Span<const Step> steps, absl::Span<const Step> reference) {
  std::vector<double> values;
  size_t next = 0;
  for (const Step& step : steps) {
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

}  // namespace reckon
