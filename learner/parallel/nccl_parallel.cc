#include "learner/parallel/nccl_parallel.h"

#include <c10/core/DeviceGuard.h>

#include <chrono>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/backend.h"
#include "common/model/broadcast/rendezvous_store.h"
#include "learner/parallel/c10d_work.h"
#include "learner/parallel/device_parallel.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<Parallel>> MakeNccl(std::unique_ptr<Parallel> host,
                                                   const std::string& group, uint64_t term,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop) {
  std::unique_ptr<Parallel> parallel;
  RETURN_IF_ERROR(CatchCollectiveErrors("rendezvous", [&] {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::minutes(10);  // for another rank's share of a step
    // The host's Gloo group has used the same term's keys; the prefix keeps the two groups apart.
    auto store = c10::make_intrusive<c10d::PrefixStore>(
        "nccl_" + group, c10::make_intrusive<RendezvousStore>(
                             RendezvousOfTerm(std::move(stub), term, stop), absl::Minutes(2)));
    auto nccl =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, host->rank(), host->world(), options);
    // Connects now and not in the first step, so that a rank that cannot is named at the start.
    const c10::Device device = DeviceOf(Backend::kTorchCuda);
    const c10::DeviceGuard guard(device);
    nccl->setBoundDeviceId(device);
    nccl->eagerConnectSingleDevice(device);
    parallel = MakeDeviceParallel(std::move(host), std::move(nccl), device.type(), stop);
    return absl::OkStatus();
  }));
  return parallel;
}

}  // namespace reckon
