#include "cli/launcher/text_template.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/log.h"

namespace reckon {
namespace {

bool IsNameCharacter(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
}

// The name between braces at the start of `text`; empty when there is none. Braces of YAML's flow
// style, as in {app: reckon} or {}, hold no name.
absl::string_view NameAt(absl::string_view text) {
  if (text.empty() || text.front() != '{') return {};
  size_t end = 1;
  while (end < text.size() && IsNameCharacter(text[end])) ++end;
  if (end == text.size() || text[end] != '}') return {};
  return text.substr(1, end - 1);
}

const std::string& ValueOf(absl::string_view name,
                           const std::map<std::string, std::string>& values) {
  const auto found = values.find(std::string(name));
  CHECK(found != values.end()) << "a template names {" << name << "}, which has no value";
  return found->second;
}

}  // namespace

std::string FillTemplate(absl::string_view text, const std::map<std::string, std::string>& values) {
  std::string result;
  absl::ConsumeSuffix(&text, "\n");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view inner = absl::StripAsciiWhitespace(line);
    const absl::string_view alone = NameAt(inner);
    if (!alone.empty() && alone.size() + 2 == inner.size()) {
      const absl::string_view indentation = line.substr(0, line.size() - inner.size());
      absl::string_view block = ValueOf(alone, values);
      absl::ConsumeSuffix(&block, "\n");
      if (block.empty()) continue;
      for (absl::string_view part : absl::StrSplit(block, '\n')) {
        absl::StrAppend(&result, part.empty() ? "" : indentation, part, "\n");
      }
      continue;
    }
    for (size_t i = 0; i < line.size();) {
      const absl::string_view name = NameAt(line.substr(i));
      if (name.empty()) {
        result += line[i++];
      } else {
        result += ValueOf(name, values);
        i += name.size() + 2;
      }
    }
    result += '\n';
  }
  return result;
}

std::string YamlText(absl::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/true,
                                   nlohmann::json::error_handler_t::replace);
}

}  // namespace reckon
