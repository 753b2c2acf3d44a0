#include "coordinator/selections.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/request_check.h"
#include "coordinator/store_keys.h"

namespace reckon {
namespace {

constexpr size_t kMaxRule = 4096;

std::string Show(const RolloutKey& key) {
  return absl::StrCat(key.plan(), "/", key.group(), "/", key.sample());
}

}  // namespace

absl::Status Selections::Restore() {
  bool sound = true;
  RETURN_IF_ERROR(store_->Scan("s", "", [&](absl::string_view key, absl::string_view value) {
    const std::string name(key.substr(1, key.size() - 2));
    sound = selections_[name].ParseFromArray(value.data(), static_cast<int>(value.size()));
    return sound;
  }));
  return sound ? absl::OkStatus() : absl::DataLossError("a selection's record is damaged");
}

absl::Status Selections::CheckRepeated(const AppendSelectionRequest& request,
                                       uint64_t known) const {
  for (int i = 0; i < request.keys_size() && request.first_index() + i < known; ++i) {
    const uint64_t index = request.first_index() + i;
    absl::StatusOr<std::string> stored =
        store_->Get(store_keys::SelectionEntry(request.name(), index));
    // Accepted a moment ago and not on the disk yet: the caller tries again.
    if (absl::IsNotFound(stored.status())) return absl::UnavailableError("being written");
    RETURN_IF_ERROR(stored.status());
    if (*stored != request.keys(i).SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("selection ", request.name(), " has another key at ", index));
    }
  }
  return absl::OkStatus();
}

absl::Status Selections::Append(const AppendSelectionRequest& request, Writes& writes) {
  RETURN_IF_ERROR(CheckName("selection", request.name()));
  if (request.rule().size() > kMaxRule) return absl::InvalidArgumentError("rule is too long");
  for (const RolloutKey& key : request.keys()) RETURN_IF_ERROR(CheckName("key.plan", key.plan()));
  auto it = selections_.find(request.name());
  const StoredSelection old = it == selections_.end() ? StoredSelection() : it->second;
  if (it != selections_.end() && old.rule() != request.rule()) {
    return absl::AlreadyExistsError(
        absl::StrCat("selection ", request.name(), " was made by the rule '", old.rule(), "'"));
  }
  const uint64_t known = old.entries();
  if (request.first_index() > known) {
    return absl::InvalidArgumentError(
        absl::StrCat("first_index is ", request.first_index(), "; selection has ", known, " keys"));
  }
  RETURN_IF_ERROR(CheckRepeated(request, known));
  const uint64_t end = request.first_index() + request.keys_size();
  const bool grows = end > known;
  if (old.complete() && (grows || (request.complete() && end < known))) {
    return absl::FailedPreconditionError(
        absl::StrCat("selection ", request.name(), " is complete"));
  }
  if (request.complete() && end < known) {
    return absl::InvalidArgumentError("complete, but keys follow those given");
  }
  for (uint64_t index = known; index < end; ++index) {
    const RolloutKey& key = request.keys(static_cast<int>(index - request.first_index()));
    absl::StatusOr<std::string> stored = store_->Get(store_keys::Rollout(key));
    if (absl::IsNotFound(stored.status())) {
      return absl::InvalidArgumentError(absl::StrCat("rollout ", Show(key), " is not stored"));
    }
    RETURN_IF_ERROR(stored.status());
  }
  StoredSelection fresh = old;
  fresh.set_rule(request.rule());
  fresh.set_entries(std::max(known, end));
  fresh.set_complete(old.complete() || request.complete());
  for (uint64_t index = known; index < end; ++index) {
    const RolloutKey& key = request.keys(static_cast<int>(index - request.first_index()));
    writes.Put(store_keys::SelectionEntry(request.name(), index), key.SerializeAsString());
    writes.Put(store_keys::Named(key), "");
  }
  writes.Put(store_keys::Selection(request.name()), fresh.SerializeAsString());
  selections_[request.name()] = std::move(fresh);
  return absl::OkStatus();
}

}  // namespace reckon
