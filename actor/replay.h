#ifndef RECKON_ACTOR_REPLAY_H_
#define RECKON_ACTOR_REPLAY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "actor/engine/engine.h"
#include "common/base/stop.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Generates the samples of one lease, without a coordinator: `work` has the lease and its plan, as
// a coordinator sends them. The rollouts have no rewards and no actor. For `reckon replay`, which
// compares them with what was recorded. CANCELLED when stopped.
absl::StatusOr<std::vector<Rollout>> GenerateLease(const LeaseReply& work, Engine* engine,
                                                   const std::stop_token& stop);

}  // namespace reckon

#endif  // RECKON_ACTOR_REPLAY_H_
