#include "common/task/answer/text_answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace reckon {
namespace {

constexpr absl::string_view kTextMark = "####";

}  // namespace

std::optional<MarkedAnswer> FindMarked(absl::string_view text) {
  const size_t mark = text.rfind(kTextMark);
  if (mark == absl::string_view::npos) return std::nullopt;
  const absl::string_view rest = text.substr(mark + kTextMark.size());
  const size_t end = std::min(rest.find('\n'), rest.size());
  MarkedAnswer answer{absl::StripAsciiWhitespace(rest.substr(0, end)), end == rest.size()};
  if (answer.text.empty()) return std::nullopt;
  return answer;
}

std::string CanonicalText(absl::string_view answer) {
  std::string text(answer);
  absl::RemoveExtraAsciiWhitespace(&text);
  absl::AsciiStrToLower(&text);
  absl::string_view view = text;
  if (view.size() > 1) absl::ConsumeSuffix(&view, ".");
  return std::string(absl::StripTrailingAsciiWhitespace(view));
}

}  // namespace reckon
