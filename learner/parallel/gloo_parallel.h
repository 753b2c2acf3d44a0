#ifndef RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "learner/parallel/parallel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct GlooOptions {
  int rank = 0;
  int world = 1;
  // This rank's address that the others can reach.
  std::string interface_address = "127.0.0.1";
  uint64_t epoch = 0;  // scopes the rendezvous
};

// Ranks as processes connected by c10d's Gloo over TCP. Waits until all ranks are there (5 minutes
// at most). A rank that ends is noticed by its connections; CANCELLED when `stop` comes first.
absl::StatusOr<std::unique_ptr<Parallel>> MakeGloo(const GlooOptions& options,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   const StopToken* stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_
