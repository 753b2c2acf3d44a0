#ifndef RECKON_LEARNER_LEARNER_H_
#define RECKON_LEARNER_LEARNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/stop_token.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct LearnerOptions {
  RunConfig config;
  std::string run_dir;
  int rank = 0;
  int world_size = 1;
  bool resume = false;
  std::string nonce;  // the same for all ranks of one group, another for the next group
  std::string interface_address = "127.0.0.1";
  std::string listen = "127.0.0.1:0";  // of the weight server
  absl::Duration checkpoint_interval = absl::Minutes(2);
  int64_t checkpoint_steps = 0;
};

// One rank of a learner group, from its first call to the coordinator to the end of the last stage:
// evaluates the start, then for each round of each stage lets the algorithm update the policy,
// writes the weight folder and a checkpoint, publishes the version and evaluates it. Only rank 0
// samples, publishes, evaluates and writes; the others update the policy with it, and read the
// model folder and, to resume, checkpoints and weights of the run directory, which all ranks share.
//
// Uses the calling thread. CANCELLED when stopped, with what is needed to resume on disk. Every
// other error is final for the group and one line for people.
absl::Status RunLearner(const LearnerOptions& options,
                        std::shared_ptr<Coordinator::StubInterface> stub, const StopToken* stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_LEARNER_H_
