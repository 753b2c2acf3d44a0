#ifndef RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "learner/parallel/parallel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The ranks of `host` with c10d's NCCL for tensors on the GPU; what is in host memory goes through
// `host`. Each rank uses the first GPU that it sees, and no other rank may use the same. `group`
// and `term` are those of `host`. Blocks and fails as MakeGloo does. Only in builds with
// RECKON_CUDA.
absl::StatusOr<std::unique_ptr<Parallel>> MakeNccl(std::unique_ptr<Parallel> host,
                                                   const std::string& group, uint64_t term,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_NCCL_PARALLEL_H_
