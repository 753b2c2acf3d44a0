#include "coordinator/core/reads.h"

#include <utility>

namespace reckon {

const std::optional<std::string>* Reads::Find(const std::string& key) {
  auto it = records_.find(key);
  if (it != records_.end()) return &it->second;
  wanted_.push_back({key, /*value=*/true});
  return nullptr;
}

std::optional<bool> Reads::Exists(const std::string& key) {
  auto it = exists_.find(key);
  if (it != exists_.end()) return it->second;
  wanted_.push_back({key, /*value=*/false});
  return std::nullopt;
}

absl::Status Reads::Load(const Store& store) {
  for (Wanted& wanted : std::exchange(wanted_, {})) {
    absl::StatusOr<std::string> value = store.Get(wanted.key);
    if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
    if (!wanted.value) {
      exists_[std::move(wanted.key)] = value.ok();
    } else if (value.ok()) {
      records_[std::move(wanted.key)] = *std::move(value);
    } else {
      records_[std::move(wanted.key)] = std::nullopt;
    }
  }
  return absl::OkStatus();
}

void Reads::Since(uint64_t forgotten) {
  if (forgotten == forgotten_) return;
  records_.clear();
  exists_.clear();
  forgotten_ = forgotten;
}

}  // namespace reckon
