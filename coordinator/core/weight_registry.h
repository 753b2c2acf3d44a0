#ifndef RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_
#define RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/reads.h"
#include "coordinator/store/store.h"
#include "proto/weights.pb.h"

namespace reckon {

// Which weight versions exist: their manifests, never their bytes. In the store are the manifests
// of the newest sixteen versions, of those that open plans are pinned to, and of those that
// adapters among them are over, and once each the texts that these have (megabytes of tokenizer,
// which most versions of a run share); in memory what Known has of each, the newest manifest, and
// manifests and texts that are not on the disk yet. Part of CoreState; not thread-safe.
//
// "Newest" is the version published last. A learner that resumes from a checkpoint publishes an
// older version again, under its new term; versions above it, which only the dead learner served,
// are then forgotten.
class WeightRegistry {
 public:
  absl::Status Restore(const Store& store, std::optional<uint64_t> newest);

  // `pinned`: versions of open plans, which are kept. The newest version again is a no-op, or
  // changes its sources. ALREADY_EXISTS: the term published other content under this version.
  // FAILED_PRECONDITION: the version is below the newest of its term, or is adapters over one that
  // this term has not published, or has neither texts nor those of a version that is kept.
  absl::Status Publish(const WeightManifest& manifest, const std::set<uint64_t>& pinned,
                       Writes& writes);

  bool Has(uint64_t version) const { return versions_.count(version) > 0; }
  std::optional<uint64_t> newest() const;
  const WeightManifest& newest_manifest() const { return *newest_; }
  // Without texts. NOT_FOUND: never published, or no longer kept. Means nothing while `reads` wants
  // a record.
  absl::StatusOr<std::shared_ptr<const WeightManifest>> Get(uint64_t version, Reads& reads) const;
  // The texts of a version that is kept, by their digest; the same.
  absl::StatusOr<std::shared_ptr<const FolderTexts>> Texts(const std::string& digest,
                                                           Reads& reads) const;

  // What Publish noted is being written.
  void WritesTaken();
  // It is on the disk. Returns how many records memory has forgotten.
  size_t Committed();

 private:
  struct Known {
    static Known Of(const WeightManifest& manifest);
    uint64_t term = 0;             // that published it
    std::optional<uint64_t> base;  // of adapters
    std::string texts;             // their digest; empty: it has none
  };
  // Not on the disk yet.
  struct Unwritten {
    std::map<uint64_t, std::shared_ptr<const WeightManifest>> manifests;
    std::map<std::string, std::shared_ptr<const FolderTexts>> texts;  // by digest
  };
  absl::Status CheckBase(const WeightManifest& manifest) const;
  bool HasTexts(const std::string& digest) const;
  // If no version has them any more.
  void DropTexts(const std::string& digest, Writes& writes);
  void ForgetVersions(const std::set<uint64_t>& pinned, Writes& writes);
  std::map<uint64_t, Known>::iterator Forget(std::map<uint64_t, Known>::iterator version,
                                             Writes& writes);

  std::map<uint64_t, Known> versions_;
  bool any_ = false;
  std::shared_ptr<const WeightManifest> newest_ = std::make_shared<WeightManifest>();
  Unwritten noted_, in_commit_;  // to be written, and being written
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_
