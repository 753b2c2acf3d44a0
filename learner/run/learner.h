#ifndef RECKON_LEARNER_RUN_LEARNER_H_
#define RECKON_LEARNER_RUN_LEARNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/stop.h"
#include "common/net/security.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct LearnerOptions {
  RunConfig config;
  std::string run_dir;  // shared by all ranks
  int rank = 0;         // 0: the leader
  int world_size = 1;
  bool resume = false;  // from the newest checkpoint, if there is one
  std::string nonce;    // equal on all ranks of one start of the group, new for the next start
  std::string interface_address = "127.0.0.1";  // of this rank, for the other ranks
  std::string listen = "127.0.0.1:0";           // of the leader's weight server; port 0: any
  std::string announce;  // the host at which actors reach that server; see AnnouncedAddress
  std::shared_ptr<const Security> security = Security::PlainText();  // of the weight server
  absl::Duration checkpoint_interval = absl::Minutes(2);
  int64_t checkpoint_steps = 0;  // also after this many optimizer steps; 0: by time alone
};

// Runs one rank of a learner group, from its first call to the coordinator to the end of the last
// stage, on the calling thread:
//
//   1. The leader checks config, model and data, and makes the model of an init stage.
//   2. The ranks enter a term of the coordinator and connect to each other.
//   3. The leader publishes the newest version, so that actors load it while the learner starts.
//   4. For each stage, for each round: the algorithm updates the policy; the leader writes the
//      version, saves a checkpoint, publishes the version and evaluates it.
//
// Returns CANCELLED when stopped, with everything on disk that a resume needs. Every other error
// ends the whole group and is one line for the user.
absl::Status RunLearner(const LearnerOptions& options,
                        std::shared_ptr<Coordinator::StubInterface> stub, std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_LEARNER_H_
