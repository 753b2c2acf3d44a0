#ifndef RECKON_COMMON_MODEL_BROADCAST_GLOO_CHAIN_H_
#define RECKON_COMMON_MODEL_BROADCAST_GLOO_CHAIN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/model/broadcast/broadcast_group.h"

namespace reckon {

// A group over TCP, in which each member sends to the next one what it gets, piece by piece:
//
//   rank 0 --piece--> rank 1 --piece--> rank 2 ...
//
// So every member sends and receives one copy, and the last one has it a piece's time per member
// after the first. Gloo's own broadcast sends whole buffers down a tree, log2(members) copies from
// rank 0.
absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeGlooChain(const BroadcastPlace& place);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_GLOO_CHAIN_H_
