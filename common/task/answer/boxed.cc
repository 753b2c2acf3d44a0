#include "common/task/answer/boxed.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "common/task/answer/latex_tokens.h"

namespace reckon {
namespace {

// The offset after the last `command`; 0 if there is none.
size_t Behind(absl::string_view text, absl::string_view command) {
  const size_t at = text.rfind(command);
  return at == absl::string_view::npos ? 0 : at + command.size();
}

}  // namespace

std::optional<absl::string_view> FindBoxed(absl::string_view text) {
  const size_t begin = std::max(Behind(text, "\\boxed"), Behind(text, "\\fbox"));
  if (begin == 0) return std::nullopt;
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(text.substr(begin));
  if (!rest.empty() && rest[0] == '{') {
    const auto content = Braced(rest, 0);
    if (!content.has_value()) return std::nullopt;
    return absl::StripAsciiWhitespace(*content);
  }
  // "\boxed 5$": what follows in the formula, whose end must be there.
  if (rest.size() == text.size() - begin) return std::nullopt;  // \boxedx
  const size_t end = rest.find_first_of("$\n");
  if (end == absl::string_view::npos) return std::nullopt;
  return absl::StripAsciiWhitespace(rest.substr(0, end));
}

}  // namespace reckon
