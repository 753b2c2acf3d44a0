#ifndef RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "learner/parallel/parallel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct GlooOptions {
  int rank = 0;
  int world = 1;
  // Name or address of this rank, where the others reach it; collectives use its interface alone.
  std::string interface_address = "127.0.0.1";
  uint64_t term = 0;          // of the learner group; scopes the rendezvous
  std::string group = "all";  // the same on these ranks, and another for others of the term
  bool background = false;    // of a thread beside the learner's, whose waits do not count as its
};

// Connects the ranks, which are processes, by c10d's Gloo over TCP. Blocks until all ranks have
// called it, for at most 2 minutes, so they have met before (membership.h): UNAVAILABLE. CANCELLED
// or UNAVAILABLE when a stop is requested. A collective fails with UNAVAILABLE soon after a rank
// died, because its connections break; one that is stopped is missed by the coordinator
// (membership.h).
absl::StatusOr<std::unique_ptr<Parallel>> MakeGloo(const GlooOptions& options,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_GLOO_PARALLEL_H_
