#ifndef RECKON_COMMON_TASK_ANSWER_H_
#define RECKON_COMMON_TASK_ANSWER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Answers in completions. Pure functions of any bytes, in time linear in them; none fails.

// GSM8K's strict rule, `#### (\-?[0-9\.\,]+)`: the first match. As written.
std::optional<std::string> ExtractStrict(absl::string_view completion);
// lm-evaluation-harness's flexible rule, `(-?[$0-9.,]{2,})|(-?[0-9]+)`: the last match. As written.
std::optional<std::string> ExtractFlexible(absl::string_view completion);

// Canonical form of a decimal number of any length: no commas, dollar signs, plus, trailing dot,
// leading or trailing zeros ("1,000.50" -> "1000.5", "-0" -> "0"). Nothing when it is not a number.
// Exact: no floating point.
std::optional<std::string> CanonicalNumber(absl::string_view text);

// Judges one completion. REFERENCE_UNPARSABLE, TRUNCATED (no number and `truncated`), UNPARSABLE,
// WRONG or CORRECT; value 1 for CORRECT, else 0.
//
// Numbers are compared exactly. What lm-evaluation-harness counts as right is right here; beyond
// it, so are other spellings of the same number ("18.0" or "018" for "18").
RewardValue JudgeAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer);

// Key under which two solutions count as the same (RFT, arXiv 2308.01825): all <<...>> marks with
// spaces removed, in order ("<<48/2=24>><<48+24=72>>"). A solution without marks has its whole
// text, white space normalised, as key.
std::string EquationKey(absl::string_view completion);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_H_
