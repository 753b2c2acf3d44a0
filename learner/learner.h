#ifndef RECKON_LEARNER_LEARNER_H_
#define RECKON_LEARNER_LEARNER_H_

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
  // Rank 0 is the leader. It alone has a config and a run folder, and resumes from the newest
  // checkpoint in it, if there is one; the others get what they need from the leader.
  RunConfig config;
  std::string run_dir;
  bool resume = false;
  std::string launch;  // a start of the launch that began the run resumes as well: run/start.h
  int rank = 0;
  int world_size = 1;
  std::string nonce;  // equal on all ranks of one start of the group, new for the next start
  std::string interface_address = "127.0.0.1";  // of this rank, for the other ranks
  std::string listen = "127.0.0.1:0";           // of the leader's weight server; port 0: any
  std::string announce;  // the host at which actors reach that server; see AnnouncedAddress
  std::shared_ptr<const Security> security = Security::PlainText();  // of the weight server
  absl::Duration checkpoint_interval = absl::Minutes(2);
  int64_t checkpoint_steps = 0;  // also after this many optimizer steps; 0: by time alone
  absl::Duration join_timeout = absl::Minutes(5);  // for a rank that never calls
  // How long ranks that are stopped may take to end their step and save it together.
  absl::Duration stop_grace = absl::Seconds(15);
  // Of a device that this rank shares with actors, and with no other rank: where their turns are
  // told apart (common/base/device_turn.h); empty: it is the rank's alone.
  std::string turn_file;
  // Whether this rank may write its part of a checkpoint into the leader's run folder, if it finds
  // it under the same name. Without, or where one does not find it, the leader writes all parts.
  bool share_run_dir = true;
};

// Runs one rank of a learner group, from its first call to the coordinator to the end of the last
// stage, on the calling thread:
//
//   1. The ranks enter a term of the coordinator, which from here on notices a rank that is lost.
//      (A leader without other ranks does that after 2, so that wrong input ends no older term.)
//   2. The leader checks config, model and data, and makes the model of an init stage.
//   3. The ranks meet and connect to each other. The leader shares config, model and checkpoint.
//   4. The leader publishes the newest version, so that actors load it while the learner starts.
//   5. The stages run: stages.h.
//
// Returns CANCELLED when stopped, with everything on disk that a resume needs. Every other error
// ends the whole group and is one line for the user: the first cause, as the coordinator knows it
// (parallel/membership.h).
absl::Status RunLearner(const LearnerOptions& options,
                        std::shared_ptr<Coordinator::StubInterface> stub, std::stop_token stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_LEARNER_H_
