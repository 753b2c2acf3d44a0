#include "coordinator/core/weight_registry.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

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
  manifest.clear_packed();
  return manifest.SerializeAsString();
}

// What is not written yet, or else the record of the store. Null: `reads` wants that.
template <typename Message, typename Key>
absl::StatusOr<std::shared_ptr<const Message>> FindRecord(
    std::initializer_list<const std::map<Key, std::shared_ptr<const Message>>*> unwritten,
    const Key& key, const std::string& store_key, const std::string& what, Reads& reads) {
  for (const auto* records : unwritten) {
    if (const auto it = records->find(key); it != records->end()) return it->second;
  }
  const std::optional<std::string>* bytes = reads.Find(store_key);
  if (bytes == nullptr) return nullptr;
  auto message = std::make_shared<Message>();
  if (!bytes->has_value() || !message->ParseFromString(**bytes)) {
    return absl::DataLossError(absl::StrCat(what, " is damaged"));
  }
  return message;
}

}  // namespace

absl::Status WeightRegistry::Restore(const Store& store, std::optional<uint64_t> newest) {
  bool sound = true;
  RETURN_IF_ERROR(store.Scan("w", "", [&](absl::string_view key, absl::string_view value) {
    auto manifest = std::make_shared<WeightManifest>();
    sound = manifest->ParseFromArray(value.data(), static_cast<int>(value.size()));
    if (!sound) return false;
    versions_[manifest->version()] = Known::Of(*manifest);
    if (newest == manifest->version()) {
      newest_ = std::move(manifest);
      any_ = true;
    }
    return true;
  }));
  // The head names the newest version and is written in the commit of its manifest, so one without
  // the other is damage.
  if (!sound || newest.has_value() != any_) return absl::DataLossError("a manifest is damaged");
  return absl::OkStatus();
}

WeightRegistry::Known WeightRegistry::Known::Of(const WeightManifest& manifest) {
  Known out = {.term = manifest.term(), .texts = manifest.texts_sha256()};
  if (manifest.has_base_version()) out.base = manifest.base_version();
  return out;
}

bool WeightRegistry::HasTexts(const std::string& digest) const {
  return std::any_of(versions_.begin(), versions_.end(),
                     [&](const auto& entry) { return entry.second.texts == digest; });
}

// Actors ask for the base by its number alone.
absl::Status WeightRegistry::CheckBase(const WeightManifest& manifest) const {
  if (!manifest.has_base_version()) return absl::OkStatus();
  const auto base = versions_.find(manifest.base_version());
  if (base != versions_.end() && base->second.term == manifest.term() &&
      !base->second.base.has_value() && base->first < manifest.version()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "weight version ", manifest.version(), " is adapters over version ", manifest.base_version(),
      ", which this term has not published as whole weights"));
}

absl::Status WeightRegistry::Publish(const WeightManifest& published,
                                     const std::set<uint64_t>& pinned, Writes& writes) {
  RETURN_IF_ERROR(CheckPublishedManifest(published));
  RETURN_IF_ERROR(CheckBase(published));
  const std::string& digest = published.texts_sha256();
  const bool new_texts = !digest.empty() && !HasTexts(digest);
  if (new_texts && !published.has_texts()) {
    return absl::FailedPreconditionError(absl::StrCat("no version has the texts of weight version ",
                                                      published.version(),
                                                      ", which came without them"));
  }
  WeightManifest manifest = published;
  manifest.clear_texts();
  const uint64_t version = manifest.version();
  // The term of the call is the current one (Core checks it), so it can only be equal or newer.
  const bool new_term = !any_ || manifest.term() > newest_->term();
  if (!new_term && version < newest_->version()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "weight version ", version, " is older than the newest, ", newest_->version()));
  }
  if (!new_term && version == newest_->version()) {
    if (Content(*newest_) != Content(manifest)) {
      return absl::AlreadyExistsError(
          absl::StrCat("weight version ", version, " was published with other content"));
    }
    if (newest_->SerializeAsString() == manifest.SerializeAsString()) return absl::OkStatus();
  }
  if (new_texts) {
    writes.Put(store_keys::Texts(digest), published.texts().SerializeAsString());
    noted_.texts[digest] = std::make_shared<FolderTexts>(published.texts());
  }
  const Known former = std::exchange(versions_[version], Known::Of(manifest));
  newest_ = noted_.manifests[version] = std::make_shared<WeightManifest>(manifest);
  any_ = true;
  writes.Put(store_keys::Manifest(version), manifest.SerializeAsString());
  DropTexts(former.texts, writes);
  // Only the dead learner served versions above; the new one will make them again.
  for (auto it = versions_.upper_bound(version); it != versions_.end();) it = Forget(it, writes);
  ForgetVersions(pinned, writes);
  return absl::OkStatus();
}

std::map<uint64_t, WeightRegistry::Known>::iterator WeightRegistry::Forget(
    std::map<uint64_t, Known>::iterator version, Writes& writes) {
  writes.Delete(store_keys::Manifest(version->first));
  const std::string texts = version->second.texts;
  const auto next = versions_.erase(version);
  DropTexts(texts, writes);
  return next;
}

void WeightRegistry::DropTexts(const std::string& digest, Writes& writes) {
  if (!digest.empty() && !HasTexts(digest)) writes.Delete(store_keys::Texts(digest));
}

void WeightRegistry::ForgetVersions(const std::set<uint64_t>& pinned, Writes& writes) {
  std::set<uint64_t> kept = pinned;
  for (const auto& [version, known] : versions_) {
    if (known.base.has_value()) kept.insert(*known.base);
  }
  // Oldest first. A version that is kept stays, and nothing newer is forgotten in its place.
  // A version that is not pinned is wanted only by actors that have not caught up with the newest.
  size_t extra = versions_.size() > kKept ? versions_.size() - kKept : 0;
  for (auto it = versions_.begin(); extra > 0 && it != versions_.end(); --extra) {
    if (kept.count(it->first) > 0) {
      ++it;
      continue;
    }
    it = Forget(it, writes);
  }
}

std::optional<uint64_t> WeightRegistry::newest() const {
  if (!any_) return std::nullopt;
  return newest_->version();
}

absl::StatusOr<std::shared_ptr<const WeightManifest>> WeightRegistry::Get(uint64_t version,
                                                                          Reads& reads) const {
  if (!Has(version)) {
    return absl::NotFoundError(absl::StrCat("weight version ", version, " is not published"));
  }
  if (version == newest_->version()) return newest_;
  return FindRecord<WeightManifest>({&noted_.manifests, &in_commit_.manifests}, version,
                                    store_keys::Manifest(version),
                                    absl::StrCat("the manifest of version ", version), reads);
}

absl::StatusOr<std::shared_ptr<const FolderTexts>> WeightRegistry::Texts(const std::string& digest,
                                                                         Reads& reads) const {
  return FindRecord<FolderTexts>({&noted_.texts, &in_commit_.texts}, digest,
                                 store_keys::Texts(digest), "the record of a version's texts",
                                 reads);
}

void WeightRegistry::WritesTaken() { in_commit_ = std::exchange(noted_, {}); }

size_t WeightRegistry::Committed() {
  const Unwritten written = std::exchange(in_commit_, {});
  return written.manifests.size() + written.texts.size();
}

}  // namespace reckon
