#include "coordinator/core/weight_registry.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/core/request_check.h"
#include "coordinator/store/store_keys.h"

namespace reckon {
namespace {

constexpr size_t kKept = 16;  // versions in the store, besides pinned ones

// What must not change when a version is published again.
std::string Content(WeightManifest manifest) {
  // A term that resumes publishes the same weights from another address; that is no other content.
  manifest.clear_term();
  manifest.clear_sources();
  manifest.clear_memory();
  return manifest.SerializeAsString();
}

}  // namespace

absl::Status WeightRegistry::Restore(std::optional<uint64_t> newest) {
  bool sound = true;
  WeightManifest manifest;
  RETURN_IF_ERROR(store_->Scan("w", "", [&](absl::string_view key, absl::string_view value) {
    sound = manifest.ParseFromArray(value.data(), static_cast<int>(value.size()));
    if (!sound) return false;
    term_of_[manifest.version()] = manifest.term();
    if (newest == manifest.version()) {
      newest_ = manifest;
      any_ = true;
    }
    return true;
  }));
  // The head names the newest version and is written in the commit of its manifest, so one without
  // the other is damage.
  if (!sound || newest.has_value() != any_) return absl::DataLossError("a manifest is damaged");
  return absl::OkStatus();
}

absl::Status WeightRegistry::Publish(const WeightManifest& manifest,
                                     const std::set<uint64_t>& pinned, Writes& writes) {
  RETURN_IF_ERROR(CheckPublishedManifest(manifest));
  const uint64_t version = manifest.version();
  auto known = term_of_.find(version);
  // The term of the call is the current one (Core checks it), so it can only be equal or newer.
  const bool new_term = !any_ || manifest.term() > newest_.term();
  if (known != term_of_.end() && known->second == manifest.term()) {
    ASSIGN_OR_RETURN(const WeightManifest stored, Get(version));
    if (Content(stored) != Content(manifest)) {
      return absl::AlreadyExistsError(
          absl::StrCat("weight version ", version, " was published with other content"));
    }
    if (stored.SerializeAsString() == manifest.SerializeAsString()) return absl::OkStatus();
    // Only the sources changed: the learner serves the version from another address.
    if (version == newest_.version()) newest_ = manifest;
  } else {
    if (!new_term && version < newest_.version()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "weight version ", version, " is older than the newest, ", newest_.version()));
    }
    if (new_term) {
      // Only the dead learner served these; the new one will make them again.
      for (auto it = term_of_.upper_bound(version); it != term_of_.end();) {
        writes.Delete(store_keys::Manifest(it->first));
        it = term_of_.erase(it);
      }
    }
    term_of_[version] = manifest.term();
    newest_ = manifest;
    any_ = true;
  }
  writes.Put(store_keys::Manifest(version), manifest.SerializeAsString());
  Forget(pinned, writes);
  return absl::OkStatus();
}

void WeightRegistry::Forget(const std::set<uint64_t>& pinned, Writes& writes) {
  // Oldest first. A pinned version stays, and nothing newer is forgotten in its place.
  // A version that is not pinned is wanted only by actors that have not caught up with the newest.
  size_t extra = term_of_.size() > kKept ? term_of_.size() - kKept : 0;
  for (auto it = term_of_.begin(); extra > 0 && it != term_of_.end(); --extra) {
    if (pinned.count(it->first) > 0) {
      ++it;
      continue;
    }
    writes.Delete(store_keys::Manifest(it->first));
    it = term_of_.erase(it);
  }
}

std::optional<uint64_t> WeightRegistry::newest() const {
  if (!any_) return std::nullopt;
  return newest_.version();
}

absl::StatusOr<WeightManifest> WeightRegistry::Get(uint64_t version) const {
  if (any_ && version == newest_.version()) return newest_;
  if (!Has(version)) {
    return absl::NotFoundError(absl::StrCat("weight version ", version, " is not published"));
  }
  const absl::StatusOr<std::string> bytes = store_->Get(store_keys::Manifest(version));
  if (absl::IsNotFound(bytes.status()))
    return absl::UnavailableError("the manifest is being written; try again");
  RETURN_IF_ERROR(bytes.status());
  WeightManifest manifest;
  if (!manifest.ParseFromString(*bytes)) return absl::DataLossError("a manifest is damaged");
  return manifest;
}

}  // namespace reckon
