#ifndef RECKON_COORDINATOR_CORE_RECOVERY_H_
#define RECKON_COORDINATOR_CORE_RECOVERY_H_

#include "absl/status/status.h"
#include "coordinator/core/core_state.h"

namespace reckon {

// Fills a new state with what its store holds:
//   1. the head (run, term, ledger): leases of the process before have expired; the term's ranks
//   2. selections that are not complete, weight manifests, nonces of terms
//   3. of each open plan its items, groups, accepted rollouts and unapplied batches; batches whose
//      last rollout reached the disk without the batch are cut now
//   4. the batches that wait for eviction, with retention SELECTED also those of a time when it was
//      ALL
// An empty store is a new run. DATA_LOSS when a record is unreadable, FAILED_PRECONDITION when the
// store belongs to another run or has another layout.
absl::Status Recover(CoreState& state);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_RECOVERY_H_
