#ifndef RECKON_COMMON_MODEL_BROADCAST_BROADCAST_GROUP_H_
#define RECKON_COMMON_MODEL_BROADCAST_BROADCAST_GROUP_H_

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/model/broadcast/rendezvous_store.h"

namespace reckon {

// Processes that c10d connects, of which the first, the learner, gives bytes to all others. A group
// is connected once and passes many versions. It cannot lose a member: after the first error, on
// any member, it is of no use and must be destroyed, which breaks its connections, so that the
// others notice. Then the buffer is not written any more.
//
// Implementations: a chain over Gloo (gloo_chain.h), and the broadcast of a backend for tensors on
// a device (device_broadcast.h), which is NCCL's.
class BroadcastGroup {
 public:
  virtual ~BroadcastGroup() = default;
  // Fills `bytes`, as many on every member, with those of rank 0, which are only read; all members
  // call it. `arrived(n)` tells a member that the first n are there. Errors: CANCELLED, stopped;
  // otherwise a member or the network is gone, or slower than the deadline, or a member has been
  // silent for too long.
  virtual absl::Status Pass(absl::Span<char> bytes, absl::Time deadline,
                            const std::stop_token& stop,
                            absl::FunctionRef<void(uint64_t)> arrived) = 0;
};

// Nothing has come, or nobody has taken anything, for so long: a member hangs. Tests, whose threads
// may have to wait for a core, wait longer.
inline constexpr absl::Duration kBroadcastSilence = absl::Seconds(5);

// How long a broadcast of so many bytes may take in all: the silence, and a second for each 32 MiB.
// What is slower than that is no fast network.
absl::Duration BroadcastLimit(uint64_t bytes, absl::Duration silence);

// A member's place in a group, before it is connected.
struct BroadcastPlace {
  int rank = 0;
  int world = 1;
  std::string host;  // name or address of this member; its interface is used, and no other
  bool gpu = false;  // by NCCL, for which every member has a GPU of its own
  RendezvousCall meet;
  absl::Duration silence = kBroadcastSilence;
};

// Connects a group. Blocks until all its members have called it, for the silence at most for each
// step. UNAVAILABLE or INTERNAL: one of them did not, or cannot be reached.
absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeBroadcastGroup(const BroadcastPlace& place);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_BROADCAST_GROUP_H_
