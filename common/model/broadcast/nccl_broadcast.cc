#include "common/model/broadcast/nccl_broadcast.h"

#include <c10/core/DeviceGuard.h>

#include <chrono>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "common/base/status_macros.h"
#include "common/model/backend.h"
#include "common/model/broadcast/device_broadcast.h"
#include "common/model/broadcast/gloo_chain.h"
#include "common/model/torch_status.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeNcclBroadcast(const BroadcastPlace& place) {
  using Made = absl::StatusOr<std::unique_ptr<BroadcastGroup>>;
  return CatchTorchErrors("connecting a broadcast", [&]() -> Made {
    // NCCL waits without a limit for a member that is gone: that all are there is found out before.
    ASSIGN_OR_RETURN(const std::unique_ptr<BroadcastGroup> all_are_there, MakeGlooChain(place));
    auto options = c10d::ProcessGroupNCCL::Options::create();
    // Longer than any deadline of ours: c10d's watchdog ends the process after it, where we abort
    // the group and fetch what is missing.
    options->timeout = std::chrono::hours(24);
    // The chain has used the same keys.
    auto store = c10::make_intrusive<c10d::PrefixStore>(
        "nccl", c10::make_intrusive<RendezvousStore>(place.meet, place.silence));
    auto group =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, place.rank, place.world, options);
    const c10::Device device = DeviceOf(Backend::kTorchCuda);
    const c10::DeviceGuard guard(device);
    group->setBoundDeviceId(device);
    group->eagerConnectSingleDevice(device);
    return MakeDeviceBroadcast(std::move(group), device, place.silence);
  });
}

}  // namespace reckon
