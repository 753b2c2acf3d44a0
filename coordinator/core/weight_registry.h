#ifndef RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_
#define RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/store.h"
#include "proto/weights.pb.h"

namespace reckon {

// Which weight versions exist: their manifests, never their bytes. In the store are the manifests
// of the newest sixteen versions and of those that open plans are pinned to; in memory the newest
// manifest and the term that published each of the others. Part of CoreState; not thread-safe.
//
// "Newest" is the version published last. A learner that resumes from a checkpoint publishes an
// older version again, under its new term; versions above it, which only the dead learner served,
// are then forgotten.
class WeightRegistry {
 public:
  explicit WeightRegistry(const Store* store) : store_(store) {}
  absl::Status Restore(std::optional<uint64_t> newest);

  // `pinned`: versions of open plans, which are kept. The same version again is a no-op, or changes
  // its sources. ALREADY_EXISTS: the term published other content under this version.
  // FAILED_PRECONDITION: the version is below the newest of its term.
  absl::Status Publish(const WeightManifest& manifest, const std::set<uint64_t>& pinned,
                       Writes& writes);

  bool Has(uint64_t version) const { return term_of_.count(version) > 0; }
  std::optional<uint64_t> newest() const;
  const WeightManifest& newest_manifest() const { return newest_; }
  // NOT_FOUND: never published, or no longer kept. UNAVAILABLE: not on the disk yet, try again.
  absl::StatusOr<WeightManifest> Get(uint64_t version) const;

 private:
  void Forget(const std::set<uint64_t>& pinned, Writes& writes);

  const Store* store_;
  std::map<uint64_t, uint64_t> term_of_;  // of each version: the term that published it
  bool any_ = false;
  WeightManifest newest_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_WEIGHT_REGISTRY_H_
