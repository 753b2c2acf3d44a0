#ifndef RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "learner/parallel/parallel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The ranks of `host`, which keeps what lies in host memory, with c10d's NCCL for tensors on the
// GPU. Each rank has the first GPU that it sees to itself. Only in builds with RECKON_CUDA.
absl::StatusOr<std::unique_ptr<Parallel>> MakeNccl(std::unique_ptr<Parallel> host, uint64_t epoch,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   const StopToken* stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_
