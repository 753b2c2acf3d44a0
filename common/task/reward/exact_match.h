#ifndef RECKON_COMMON_TASK_REWARD_EXACT_MATCH_H_
#define RECKON_COMMON_TASK_REWARD_EXACT_MATCH_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The sparse reward: is the final answer of a completion the reference answer? Pure functions of
// any bytes, linear in their length; none fails.

// Returns the first match of GSM8K's strict rule `#### (\-?[0-9\.\,]+)`, as written.
std::optional<std::string> ExtractStrict(absl::string_view completion);

// Returns the last match of lm-evaluation-harness's flexible rule
// `(-?[$0-9.,]{2,})|(-?[0-9]+)`, as written.
std::optional<std::string> ExtractFlexible(absl::string_view completion);

// Scores one completion by the rule of `spec`. The value is 1 for CORRECT, else 0. The first line
// that applies gives the verdict:
//
//   the reference answer is not a number                 REFERENCE_UNPARSABLE
//   no number is extracted, `truncated`                  TRUNCATED
//   no number is extracted                               UNPARSABLE
//   CanonicalNumber(extracted) == that of the reference  CORRECT
//   otherwise                                            WRONG
//
// Everything that lm-evaluation-harness counts as right is right here. In addition, other spellings
// of the same number are right ("18.0" or "018" for "18").
RewardValue ScoreAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_EXACT_MATCH_H_
