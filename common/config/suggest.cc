#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/config_steps.h"

namespace reckon {
namespace {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string SuggestField(const google::protobuf::Descriptor& type, absl::string_view unknown) {
  std::string nearest, all;
  size_t best = unknown.size() > 64 ? 0 : std::max<size_t>(2, unknown.size() / 3) + 1;
  for (int i = 0; i < type.field_count(); ++i) {
    const std::string& name = type.field(i)->name();
    absl::StrAppend(&all, all.empty() ? "" : ", ", name);
    if (best == 0) continue;
    // "kl" for "kl_coef" is near too.
    bool part =
        unknown.size() >= 2 && absl::string_view(name).find(unknown) != absl::string_view::npos;
    size_t distance = part ? 1 : EditDistance(unknown, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  if (!nearest.empty()) return absl::StrCat("; did you mean '", nearest, "'?");
  return all.empty() ? "; it has no fields" : absl::StrCat("; it has ", all);
}

}  // namespace reckon
