#ifndef RECKON_COORDINATOR_SELECTIONS_H_
#define RECKON_COORDINATOR_SELECTIONS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "coordinator/store.h"
#include "proto/coordinator.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

// Named, ordered lists of stored rollouts. In memory only their lengths; entries are in the store.
// Part of the core; not thread-safe.
class Selections {
 public:
  explicit Selections(const Store* store) : store_(store) {}
  absl::Status Restore();

  // Appends, or repeats, keys of stored rollouts. INVALID_ARGUMENT: a gap, or a key that is not
  // stored. ALREADY_EXISTS: other keys or another rule are there. FAILED_PRECONDITION: complete.
  absl::Status Append(const AppendSelectionRequest& request, Writes& writes);

 private:
  absl::Status CheckRepeated(const AppendSelectionRequest& request, uint64_t known) const;

  const Store* store_;
  std::map<std::string, StoredSelection> selections_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SELECTIONS_H_
