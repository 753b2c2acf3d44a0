#ifndef RECKON_COMMON_REWARD_OUTCOME_H_
#define RECKON_COMMON_REWARD_OUTCOME_H_

#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// How an attempt to compute a reward of the user's own fails. A failure is never a reward of zero.
enum class RewardFailure {
  kNotStarted,  // the program cannot be started
  kTimeout,     // no reply in time
  kCrash,       // the process ended, or the connection broke, during the attempt
  kBadReply,    // a reply that is not what the protocol says
  kNoNumber,    // a value that is no finite number
  kRefused,     // the reward says itself that it cannot score this completion
};
inline constexpr RewardFailure kAllRewardFailures[] = {
    RewardFailure::kNotStarted, RewardFailure::kTimeout,  RewardFailure::kCrash,
    RewardFailure::kBadReply,   RewardFailure::kNoNumber, RewardFailure::kRefused};

// "not_started", "timeout", "crash", "bad_reply", "no_number", "refused": also in metrics and
// rollouts.
absl::string_view RewardFailureName(RewardFailure failure);

struct FailedAttempt {
  RewardFailure failure;
  std::string why;  // for humans, without the name of the failure
};

// What one attempt gives. The value has no name and no tokens of its solution steps yet.
using RewardOutcome = std::variant<RewardValue, FailedAttempt>;

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_OUTCOME_H_
