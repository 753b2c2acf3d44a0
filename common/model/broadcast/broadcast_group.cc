#include "common/model/broadcast/broadcast_group.h"

#include "common/model/broadcast/gloo_chain.h"
#ifdef RECKON_CUDA
#include "common/model/broadcast/nccl_broadcast.h"
#endif

namespace reckon {

absl::Duration BroadcastLimit(uint64_t bytes, absl::Duration silence) {
  return silence + absl::Seconds(static_cast<double>(bytes) / (32 << 20));
}

absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeBroadcastGroup(const BroadcastPlace& place) {
  if (!place.gpu) return MakeGlooChain(place);
#ifdef RECKON_CUDA
  return MakeNcclBroadcast(place);
#else
  return absl::FailedPreconditionError("this build has no NCCL");
#endif
}

}  // namespace reckon
