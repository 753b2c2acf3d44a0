#ifndef RECKON_COORDINATOR_WEIGHT_REGISTRY_H_
#define RECKON_COORDINATOR_WEIGHT_REGISTRY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store.h"
#include "proto/weights.pb.h"

namespace reckon {

// Which weight versions exist, newest first in line; manifests, never bytes. Part of the core; not
// thread-safe. In memory: the newest manifest and the other versions' epochs. In the store: the
// newest sixteen, and those that open plans are pinned to.
//
// "Newest" is the last one published: a learner that restarts from a checkpoint publishes older
// versions again under its new epoch, and those that only the dead learner served are forgotten.
class WeightRegistry {
 public:
  explicit WeightRegistry(const Store* store) : store_(store) {}
  absl::Status Restore(std::optional<uint64_t> newest);

  // The same version again is a no-op, or moves its sources; another one under the same id and
  // epoch is ALREADY_EXISTS; one below the newest of its epoch is FAILED_PRECONDITION.
  absl::Status Publish(const WeightManifest& manifest, const std::set<uint64_t>& pinned,
                       Writes& writes);

  bool Has(uint64_t version) const { return epochs_.count(version) > 0; }
  std::optional<uint64_t> newest() const;
  const WeightManifest& newest_manifest() const { return newest_; }
  // NOT_FOUND when never published or no longer kept; UNAVAILABLE when not on the disk yet.
  absl::StatusOr<WeightManifest> Get(uint64_t version) const;

 private:
  void Forget(const std::set<uint64_t>& pinned, Writes& writes);

  const Store* store_;
  std::map<uint64_t, uint64_t> epochs_;  // version -> epoch that published it
  bool any_ = false;
  WeightManifest newest_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_WEIGHT_REGISTRY_H_
