#ifndef RECKON_COORDINATOR_CORE_SELECTIONS_H_
#define RECKON_COORDINATOR_CORE_SELECTIONS_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "coordinator/core/evictions.h"
#include "coordinator/core/reads.h"
#include "coordinator/store/store.h"
#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

// Named, ordered, durable lists of stored rollouts, which grow at their end until they are
// complete. A learner names in them what it will train on; retention SELECTED keeps what they name.
// In memory are the rules and lengths of those that are not complete; the rest is in the store.
// Part of CoreState; not thread-safe.
class Selections {
 public:
  absl::Status Restore(const Store& store);

  // Appends keys of stored rollouts; keys that repeat stored ones are compared with them.
  // INVALID_ARGUMENT: a gap, or a rollout that is not stored. ALREADY_EXISTS: the repeated keys or
  // the rule differ. FAILED_PRECONDITION: the selection is complete. UNAVAILABLE: a repeated key is
  // still on its way to the disk, try again.
  absl::Status Append(const AppendSelectionRequest& request, const Evictions& evictions,
                      Reads& reads, Writes& writes);

  // The writes so far are one commit; it is on the disk: returns how many selections were
  // forgotten.
  void WritesTaken() { taken_.swap(completed_); }
  uint64_t Committed();

 private:
  // Nothing: its record is wanted.
  absl::StatusOr<StoredSelection> Find(const std::string& name, Reads& reads) const;

  std::map<std::string, StoredSelection> selections_;
  std::set<std::string> completed_, taken_;  // since the last commit, and by it
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_SELECTIONS_H_
