#ifndef RECKON_COMMON_MODEL_BROADCAST_NCCL_BROADCAST_H_
#define RECKON_COMMON_MODEL_BROADCAST_NCCL_BROADCAST_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/model/broadcast/broadcast_group.h"

namespace reckon {

// A group that NCCL connects: each member uses the first GPU that it sees, and no other member may
// use the same. Only in builds with RECKON_CUDA.
absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeNcclBroadcast(const BroadcastPlace& place);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_NCCL_BROADCAST_H_
