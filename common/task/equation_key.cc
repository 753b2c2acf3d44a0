#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/task/answer.h"

namespace reckon {
namespace {

void AppendWithoutSpace(absl::string_view text, std::string* out) {
  for (char c : text) {
    if (!absl::ascii_isspace(c)) out->push_back(c);
  }
}

// One blank between words, none at the ends.
std::string NormaliseSpace(absl::string_view text) {
  std::string out;
  for (char c : absl::StripAsciiWhitespace(text)) {
    if (!absl::ascii_isspace(c)) {
      out.push_back(c);
    } else if (out.back() != ' ') {  // not empty: the text starts with no space
      out.push_back(' ');
    }
  }
  return out;
}

}  // namespace

std::string EquationKey(absl::string_view completion) {
  // <<(.*?)>> within a line. `close` and `newline` only move forward, which keeps it linear.
  constexpr size_t kNone = absl::string_view::npos;
  std::string key;
  size_t close = 0, newline = 0;
  size_t open = completion.find("<<");
  while (open != kNone) {
    const size_t inside = open + 2;
    if (close < inside) close = completion.find(">>", inside);
    if (close == kNone) break;
    if (newline < inside) newline = std::min(completion.find('\n', inside), completion.size());
    if (newline < close) {
      open = completion.find("<<", newline);  // no mark of this line is closed any more
      continue;
    }
    absl::StrAppend(&key, "<<");
    AppendWithoutSpace(completion.substr(inside, close - inside), &key);
    absl::StrAppend(&key, ">>");
    open = completion.find("<<", close + 2);
  }
  // No text without marks reads like a key of marks, so the two kinds never meet.
  return key.empty() ? NormaliseSpace(completion) : key;
}

}  // namespace reckon
