#include "common/task/dataset/bad_records.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace reckon {

void BadRecords::Add(absl::string_view where, absl::string_view what) {
  ++count_;
  if (listed_.size() < kListed) listed_.push_back(absl::StrCat(where, ": ", what));
}

void BadRecords::Append(const BadRecords& more) {
  count_ += more.count_;
  for (const std::string& line : more.listed_) {
    if (listed_.size() < kListed) listed_.push_back(line);
  }
}

std::vector<std::string> BadRecords::Lines() const {
  std::vector<std::string> lines;
  for (const std::string& line : listed_) lines.push_back("  " + line);
  if (count_ > listed_.size()) {
    lines.push_back(absl::StrCat("  and ", count_ - listed_.size(), " more"));
  }
  return lines;
}

absl::Status BadRecords::Refuse(absl::string_view summary, absl::string_view remedy) const {
  if (empty()) return absl::OkStatus();
  if (count_ == 1) return absl::InvalidArgumentError(absl::StrCat(listed_[0], "; ", remedy));
  return absl::InvalidArgumentError(
      absl::StrCat(summary, "; ", remedy, "\n", absl::StrJoin(Lines(), "\n")));
}

absl::Status BothRefusals(const absl::Status& first, const absl::Status& second) {
  if (first.ok()) return second;
  if (second.code() != first.code() || second.message() == first.message()) return first;
  return absl::Status(first.code(), absl::StrCat(first.message(), "\n", second.message()));
}

}  // namespace reckon
