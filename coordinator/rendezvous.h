#ifndef RECKON_COORDINATOR_RENDEZVOUS_H_
#define RECKON_COORDINATOR_RENDEZVOUS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The key-value store in which the ranks of one learner epoch find each other, with the meaning of
// c10d::Store. In memory and bounded: an epoch that outlives the coordinator's process finds it
// empty, and its ranks, which then wait in vain, end with their deadline. Part of the core; not
// thread-safe.
class Rendezvous {
 public:
  // A new epoch starts empty.
  void Clear();

  // Nothing: GET or WAIT for keys that are not all there. `last`: answer found = false instead.
  // INVALID_ARGUMENT, or RESOURCE_EXHAUSTED when more than 64 MiB would be kept.
  absl::StatusOr<std::optional<StoreReply>> Do(const StoreRequest& request, bool last);

 private:
  absl::Status Set(const std::string& key, const std::string& value);
  absl::StatusOr<StoreReply> Add(const StoreRequest& request);
  absl::StatusOr<StoreReply> CompareSet(const StoreRequest& request);
  std::optional<StoreReply> Find(const StoreRequest& request, bool last) const;

  std::map<std::string, std::string> values_;
  size_t bytes_ = 0;
  // Answers of recent ADDs, so that a retry counts once.
  absl::flat_hash_map<std::string, int64_t> answered_;
  std::deque<std::string> answered_order_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_RENDEZVOUS_H_
