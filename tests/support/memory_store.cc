#include "tests/support/memory_store.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace reckon {

absl::Status MemoryStore::Write(const Writes& writes) {
  absl::MutexLock lock(&mu_);
  for (const Writes::Op& op : writes.ops) {
    if (op.is_delete) {
      map_.erase(op.key);
    } else {
      map_[op.key] = op.value;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryStore::Get(absl::string_view key) const {
  absl::MutexLock lock(&mu_);
  auto it = map_.find(std::string(key));
  if (it == map_.end()) return absl::NotFoundError("no such key");
  return it->second;
}

absl::Status MemoryStore::Scan(
    absl::string_view prefix, absl::string_view from,
    const std::function<bool(absl::string_view, absl::string_view)>& each) const {
  absl::MutexLock lock(&mu_);
  for (auto it = map_.lower_bound(std::string(std::max(prefix, from)));
       it != map_.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (!each(it->first, it->second)) break;
  }
  return absl::OkStatus();
}

}  // namespace reckon
