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

// An answer in a completion.
struct FoundAnswer {
  std::string text;   // as written
  bool open = false;  // it ends where the text ends: if the text was cut, the number may be too
};

// The match of a rule above, widened to the whole expression that it is a part of, because a part
// of a number is another number: of "#### 3 1/2" the strict rule matches "3", of "1e5" the flexible
// rule "5". An expression that is no number (CanonicalNumber), as "10:30", is no answer. Widened
// are
//
//   strict    to the right, over an exponent, a fraction character, and further numbers that a
//             space, one of / : * + - = ^, or both separate from it on the same line
//   flexible  to the left, over a fraction with its whole number, an exponent, a time ("10:30"),
//             and thousands separated by no-break spaces; to the right over a fraction character
std::optional<FoundAnswer> FindStrict(absl::string_view completion);
std::optional<FoundAnswer> FindFlexible(absl::string_view completion);

// Scores one completion by the rule of `spec`. The value is 1 for CORRECT, else 0. The first line
// that applies gives the verdict:
//
//   the reference answer is not a number                 REFERENCE_UNPARSABLE
//   no number is found, or an open one; `truncated`      TRUNCATED
//   no number is found                                   UNPARSABLE
//   CanonicalNumber(found) == that of the reference      CORRECT
//   otherwise                                            WRONG
//
// What lm-evaluation-harness counts as right is right here, but for two things that it takes for
// right by a part of a number: an expression (see FindStrict), and a number that the length limit
// cut ("#### 1" of "#### 12"). In addition, other spellings of the same number are right ("18.0",
// "018" or "36/2" for "18").
//
// With kind ANSWER_BOXED the answer is that of the last \boxed{} (FindBoxed), compared by
// SameAnswer. An answer that cannot be compared is UNPARSABLE; a reference that cannot is
// REFERENCE_UNPARSABLE, unless the answer is the same text.
//
// With kind ANSWER_TEXT the answer is what follows the last "####" on its line (FindMarked), and
// equal texts are those of one CanonicalText.
RewardValue ScoreAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer);

// The answer that a reward of this kind extracted, in a form that is equal for equal answers: what
// samples of one prompt vote with. nullopt: no answer.
std::optional<std::string> CanonicalAnswer(RewardSpec::Kind kind, absl::string_view extracted);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_EXACT_MATCH_H_
