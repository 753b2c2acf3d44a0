#ifndef RECKON_COORDINATOR_CORE_SELECTIONS_H_
#define RECKON_COORDINATOR_CORE_SELECTIONS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "coordinator/core/evictions.h"
#include "coordinator/store/store.h"
#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

// Named, ordered, durable lists of stored rollouts, which grow at their end until they are
// complete. A learner names in them what it will train on; retention SELECTED keeps what they name.
// In memory are only rules and lengths; entries are in the store. Part of CoreState; not
// thread-safe.
class Selections {
 public:
  explicit Selections(const Store* store) : store_(store) {}
  absl::Status Restore();

  // Appends keys of stored rollouts; keys that repeat stored ones are compared with them.
  // INVALID_ARGUMENT: a gap, or a rollout that is not stored. ALREADY_EXISTS: the repeated keys or
  // the rule differ. FAILED_PRECONDITION: the selection is complete. UNAVAILABLE: a repeated key is
  // still on its way to the disk, try again.
  absl::Status Append(const AppendSelectionRequest& request, const Evictions& evictions,
                      Writes& writes);

 private:
  absl::Status CheckRepeated(const AppendSelectionRequest& request, uint64_t known) const;
  absl::Status CheckStored(const RolloutKey& key, const Evictions& evictions) const;

  const Store* store_;
  std::map<std::string, StoredSelection> selections_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_SELECTIONS_H_
