#include "common/task/prompt/overlong.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace reckon {

OverlongProblems FindOverlong(const std::vector<Problem>& problems, int64_t limit,
                              absl::FunctionRef<int64_t(const Problem&)> tokens) {
  OverlongProblems out;
  for (size_t i = 0; i < problems.size(); ++i) {
    const int64_t needed = tokens(problems[i]);
    if (needed <= limit) continue;
    if (out.indices.empty()) out.first_tokens = needed;
    out.indices.push_back(i);
  }
  return out;
}

absl::Status RefuseOverlong(absl::string_view setting, const std::vector<Problem>& problems,
                            const OverlongProblems& overlong, int64_t limit, absl::string_view need,
                            absl::string_view remedy) {
  if (overlong.indices.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(setting, ": ", overlong.indices.size(), " of ", problems.size(),
                   " problems do not fit into the model's ", limit, " positions; the first, ",
                   problems[overlong.indices.front()].source, ", needs ", overlong.first_tokens,
                   " for ", need, "; ", remedy));
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
