#ifndef RECKON_COMMON_REWARD_REWARD_WORKER_H_
#define RECKON_COMMON_REWARD_REWARD_WORKER_H_

#include <stop_token>
#include <string>

#include "absl/functional/function_ref.h"
#include "common/reward/outcome.h"
#include "proto/reward_service.pb.h"

namespace reckon {

// Computes a reward of the user's own, one completion at a time. Used by one thread.
class RewardWorker {
 public:
  virtual ~RewardWorker() = default;
  // Makes one attempt. Blocks until there is an outcome, and not longer than the spec's timeout
  // once the attempt has begun; before that it may wait for what heals, and says in `waits` for
  // what. Returns soon after a stop, with any outcome.
  virtual RewardOutcome Score(const ScoreRequest& request, const std::stop_token& stop,
                              absl::FunctionRef<void(const std::string&)> waits) = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_REWARD_WORKER_H_
