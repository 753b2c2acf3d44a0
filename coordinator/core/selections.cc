#include "coordinator/core/selections.h"

#include <algorithm>
#include <optional>
#include <utility>

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

// The request's keys that repeat stored ones are equal to them.
absl::Status CheckRepeated(const AppendSelectionRequest& request, uint64_t known, Reads& reads) {
  for (int i = 0; i < request.keys_size() && request.first_index() + i < known; ++i) {
    const uint64_t index = request.first_index() + i;
    const std::optional<std::string>* stored =
        reads.Find(store_keys::SelectionEntry(request.name(), index));
    if (stored == nullptr) continue;  // all that are wanted are read at once
    if (!stored->has_value()) {
      return absl::UnavailableError("the selection's keys are being written; try again");
    }
    if (**stored != request.keys(i).SerializeAsString()) {
      return absl::AlreadyExistsError(
          absl::StrCat("selection ", request.name(), " has another key at ", index));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStored(const RolloutKey& key, const Evictions& evictions, Reads& reads) {
  const std::optional<bool> stored = reads.Exists(store_keys::Rollout(key));
  // A rollout whose deletion is in the next commit is still in the store, and must count as gone.
  if (!stored.value_or(true) || evictions.IsDeleted(key)) {
    return BadRequest("rollout ", Show(key), " is not stored");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Selections::Restore(const Store& store) {
  bool sound = true;
  RETURN_IF_ERROR(store.Scan("s", "", [&](absl::string_view key, absl::string_view value) {
    StoredSelection record;
    sound = record.ParseFromArray(value.data(), static_cast<int>(value.size()));
    if (!record.complete()) {
      selections_[std::string(key.substr(1, key.size() - 2))] = std::move(record);
    }
    return sound;
  }));
  return sound ? absl::OkStatus() : absl::DataLossError("a selection's record is damaged");
}

absl::StatusOr<StoredSelection> Selections::Find(const std::string& name, Reads& reads) const {
  if (auto it = selections_.find(name); it != selections_.end()) return it->second;
  StoredSelection record;
  const std::optional<std::string>* bytes = reads.Find(store_keys::Selection(name));
  if (bytes == nullptr || !bytes->has_value()) return record;
  if (!record.ParseFromString(**bytes)) {
    return absl::DataLossError("a selection's record is damaged");
  }
  return record;
}

absl::Status Selections::Append(const AppendSelectionRequest& request, const Evictions& evictions,
                                Reads& reads, Writes& writes) {
  RETURN_IF_ERROR(CheckName("selection", request.name()));
  if (request.rule().size() > kMaxRule) {
    return BadRequest("rule has ", request.rule().size(), " bytes, above ", kMaxRule);
  }
  for (const RolloutKey& key : request.keys()) RETURN_IF_ERROR(CheckName("key.plan", key.plan()));
  ASSIGN_OR_RETURN(const StoredSelection old, Find(request.name(), reads));
  if (reads.wanted()) return absl::OkStatus();
  const bool exists = old.entries() > 0 || old.complete() || selections_.count(request.name()) > 0;
  if (exists && old.rule() != request.rule()) {
    return absl::AlreadyExistsError(
        absl::StrCat("selection ", request.name(), " was made by the rule '", old.rule(), "'"));
  }
  const uint64_t known = old.entries();
  if (request.first_index() > known) {
    return BadRequest("first_index is ", request.first_index(), "; the selection has ", known,
                      " keys");
  }
  RETURN_IF_ERROR(CheckRepeated(request, known, reads));
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
    RETURN_IF_ERROR(CheckStored(key, evictions, reads));
  }
  if (reads.wanted()) return absl::OkStatus();
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
  if (fresh.complete()) completed_.insert(request.name());
  selections_[request.name()] = std::move(fresh);
  return absl::OkStatus();
}

uint64_t Selections::Committed() {
  for (const std::string& name : taken_) selections_.erase(name);
  const uint64_t forgotten = taken_.size();
  taken_.clear();
  return forgotten;
}

}  // namespace reckon
