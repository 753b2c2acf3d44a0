#include "coordinator/core/selections.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/request_check.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

constexpr size_t kMaxRule = 4096;  // bytes

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
    if (absl::IsNotFound(stored.status())) {
      return absl::UnavailableError("the selection's keys are being written; try again");
    }
    RETURN_IF_ERROR(stored.status());
    if (*stored != request.keys(i).SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("selection ", request.name(), " has another key at ", index));
    }
  }
  return absl::OkStatus();
}

absl::Status Selections::CheckStored(const RolloutKey& key, const Evictions& evictions) const {
  const absl::Status stored = store_->Get(store_keys::Rollout(key)).status();
  // A rollout whose deletion is in the next commit is still in the store, and must count as gone.
  if (absl::IsNotFound(stored) || (stored.ok() && evictions.IsDeleted(key))) {
    return BadRequest("rollout ", Show(key), " is not stored");
  }
  return stored;
}

absl::Status Selections::Append(const AppendSelectionRequest& request, const Evictions& evictions,
                                Writes& writes) {
  RETURN_IF_ERROR(CheckName("selection", request.name()));
  if (request.rule().size() > kMaxRule) {
    return BadRequest("rule has ", request.rule().size(), " bytes, above ", kMaxRule);
  }
  for (const RolloutKey& key : request.keys()) RETURN_IF_ERROR(CheckName("key.plan", key.plan()));
  auto it = selections_.find(request.name());
  const StoredSelection old = it == selections_.end() ? StoredSelection() : it->second;
  if (it != selections_.end() && old.rule() != request.rule()) {
    return absl::AlreadyExistsError(
        absl::StrCat("selection ", request.name(), " was made by the rule '", old.rule(), "'"));
  }
  const uint64_t known = old.entries();
  if (request.first_index() > known) {
    return BadRequest("first_index is ", request.first_index(), "; the selection has ", known,
                      " keys");
  }
  RETURN_IF_ERROR(CheckRepeated(request, known));
  const uint64_t end = request.first_index() + request.keys_size();
  const bool grows = end > known;
  if (old.complete() && (grows || (request.complete() && end < known))) {
    return absl::FailedPreconditionError(
        absl::StrCat("selection ", request.name(), " is complete"));
  }
  if (request.complete() && end < known) {
    return BadRequest("complete after key ", end, ", but the selection has ", known, " keys");
  }
  for (uint64_t index = known; index < end; ++index) {
    const RolloutKey& key = request.keys(static_cast<int>(index - request.first_index()));
    RETURN_IF_ERROR(CheckStored(key, evictions));
  }
  // Nothing changes before this line, so that a refused call leaves no trace.
  StoredSelection fresh = old;
  fresh.set_rule(request.rule());
  fresh.set_entries(std::max(known, end));
  fresh.set_complete(old.complete() || request.complete());
  for (uint64_t index = known; index < end; ++index) {
    const RolloutKey& key = request.keys(static_cast<int>(index - request.first_index()));
    writes.Put(store_keys::SelectionEntry(request.name(), index), key.SerializeAsString());
    // The mark keeps the rollout from eviction. It is in the same commit as the entry, so no entry
    // ever names a rollout that may be deleted.
    writes.Put(store_keys::Named(key), "");
  }
  writes.Put(store_keys::Selection(request.name()), fresh.SerializeAsString());
  selections_[request.name()] = std::move(fresh);
  return absl::OkStatus();
}

}  // namespace reckon
