#include "common/base/command_words.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

constexpr absl::string_view kOfAShell = "$`|&;<>()*?~#\n\r";

absl::Status BadCommand(absl::string_view what) { return absl::InvalidArgumentError(what); }

}  // namespace

absl::StatusOr<std::vector<std::string>> SplitCommand(absl::string_view command) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == '\0') return BadCommand("has a null character");
    if (quote == 0 && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == '\'') {
      if (c == quote) {
        quote = 0;
      } else {
        words.back() += c;
      }
    } else if (c == '\\') {
      if (++i == command.size()) return BadCommand("ends with a backslash");
      // Between double quotes a backslash is one, unless it stands before one of these.
      const bool escapes =
          quote == 0 || absl::string_view("\"\\$`").find(command[i]) != absl::string_view::npos;
      if (!escapes) words.back() += c;
      words.back() += command[i];
    } else if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if ((quote == 0 && kOfAShell.find(c) != absl::string_view::npos) ||
               (quote == '"' && (c == '$' || c == '`'))) {
      return BadCommand(absl::StrCat("has a ",
                                     absl::ascii_isspace(c) ? "line break" : std::string(1, c),
                                     " that only a shell would act on, and none runs it; quote it "
                                     "with '…', or put the line into a script"));
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return BadCommand(absl::StrCat("has an open ", std::string(1, quote)));
  if (words.empty()) return BadCommand("has no word");
  return words;
}

}  // namespace reckon
