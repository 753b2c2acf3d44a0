#ifndef RECKON_COMMON_NET_RENDEZVOUS_H_
#define RECKON_COMMON_NET_RENDEZVOUS_H_

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

// The key-value pairs through which the members of one c10d group find each other, with the meaning
// of c10d::Store. In memory alone, 64 MiB at most. Two groups have one: the ranks of a learner
// term, at the coordinator (CoreState), and who gets a broadcast version, at the learner
// (learner/publish/broadcast_meeting.h). When its keeper restarts, a group that connects finds no
// keys: its members wait for them until their deadline and fail. Not thread-safe.
class Rendezvous {
 public:
  // A new group begins, without keys.
  void Clear();

  // Without a value: GET or WAIT, and a key is missing. With `last` the answer is then
  // found = false. RESOURCE_EXHAUSTED: the keys would exceed 64 MiB. INVALID_ARGUMENT otherwise.
  absl::StatusOr<std::optional<RendezvousReply>> Do(const RendezvousRequest& request, bool last);

 private:
  absl::Status Set(const std::string& key, const std::string& value);
  absl::StatusOr<RendezvousReply> Add(const RendezvousRequest& request);
  absl::StatusOr<RendezvousReply> CompareSet(const RendezvousRequest& request);
  std::optional<RendezvousReply> Find(const RendezvousRequest& request, bool last) const;

  std::map<std::string, std::string> values_;
  size_t bytes_ = 0;
  // Sums of recent ADDs by their id, oldest first in the queue, so that a retry counts once.
  absl::flat_hash_map<std::string, int64_t> answered_;
  std::deque<std::string> answered_order_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_NET_RENDEZVOUS_H_
