#include "common/task/prompt/overlong.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace reckon {

int64_t PromptTokens(const PromptFormatter& formatter, const Problem& problem, int64_t enough) {
  // Tokens that encoding may add: a beginning, a space before the text.
  constexpr int64_t kAdded = 16;
  const std::string text = formatter.PromptText(problem);
  // Each token of an ASCII text is at least one of its characters, whatever the tokenizer.
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isascii(c); });
  const auto most = static_cast<int64_t>(text.size()) + kAdded;
  if (ascii && most <= enough) return most;
  return static_cast<int64_t>(formatter.Prompt(problem).size());
}

OverlongProblems FindOverlong(const std::vector<Problem>& problems, int64_t limit,
                              absl::FunctionRef<int64_t(const Problem&)> tokens) {
  OverlongProblems out;
  for (size_t i = 0; i < problems.size(); ++i) {
    const int64_t needed = tokens(problems[i]);
    if (needed <= limit) continue;
    out.indices.push_back(i);
    out.named.Add(problems[i].source, absl::StrCat("needs ", needed));
  }
  return out;
}

absl::Status RefuseOverlong(absl::string_view setting, const std::vector<Problem>& problems,
                            const OverlongProblems& overlong, absl::string_view limit,
                            absl::string_view need, absl::string_view remedy) {
  if (overlong.indices.empty()) return absl::OkStatus();
  const std::vector<std::string> lines = overlong.named.Lines();
  return absl::InvalidArgumentError(
      absl::StrCat(setting, ": ", overlong.indices.size(), " of ", problems.size(),
                   " problems do not fit into ", limit, " with ", need, "; ", remedy,
                   lines.size() == 1 ? absl::StrCat("; ", absl::StripAsciiWhitespace(lines[0]))
                                     : absl::StrCat("\n", absl::StrJoin(lines, "\n"))));
}

void RemoveProblems(const std::vector<size_t>& indices, std::vector<Problem>* problems) {
  size_t kept = 0, next = 0;
  for (size_t i = 0; i < problems->size(); ++i) {
    if (next < indices.size() && indices[next] == i) {
      ++next;
      continue;
    }
    if (kept != i) (*problems)[kept] = std::move((*problems)[i]);
    ++kept;
  }
  problems->resize(kept);
}

}  // namespace reckon
