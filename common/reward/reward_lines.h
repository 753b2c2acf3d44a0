#ifndef RECKON_COMMON_REWARD_REWARD_LINES_H_
#define RECKON_COMMON_REWARD_REWARD_LINES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "common/reward/outcome.h"
#include "proto/reward_service.pb.h"

namespace reckon {

// How a reward of the user's own is asked and what its answers mean; docs/rewards.md shows the
// lines. Pure functions.

// The line of JSON that a PROCESS gets, without newline. The fields are those of ScoreRequest, and
// `columns` is an object.
std::string RequestLine(const ScoreRequest& request);

// What the line that a PROCESS wrote says: {"id": ..., "value": 1.0}, with "steps", "verdict" and
// "extracted" if it likes, or {"id": ..., "error": "why it cannot be scored"}. A field that is null
// is as if absent, and other fields are ignored.
RewardOutcome ReadReplyLine(const ScoreRequest& request, absl::string_view line);

// Checks what a process or a service replied and makes the value of it: finite, its solution steps
// in order within the completion and adding up to the value. Without a verdict 1 is correct and
// everything else wrong.
RewardOutcome MakeRewardValue(const ScoreRequest& request, const ScoreReply& reply);

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_REWARD_LINES_H_
