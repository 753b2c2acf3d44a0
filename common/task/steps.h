#ifndef RECKON_COMMON_TASK_STEPS_H_
#define RECKON_COMMON_TASK_STEPS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// A step of a solution: a line that is not blank and not the final "#### N" (paper, section 3:
// steps are split at newlines).
struct Step {
  size_t end = 0;  // the byte behind its newline, or behind the text
  // What it works out, canonical: behind the last "=" of its last <<...>> mark, or its last number.
  std::optional<std::string> result;
};

// Of any bytes, in linear time.
std::vector<Step> SplitSteps(absl::string_view solution);

// The dense heuristic reward: for each step 1 / (steps of the reference) if its result is that of a
// reference step behind the last one matched, else 0. So the order is respected, no reference step
// counts twice, and a step's reward does not depend on what follows it. The paper gives neither
// rule nor size; a perfect solution sums to 1, like the sparse reward.
std::vector<double> MatchSteps(absl::Span<const Step> steps, absl::Span<const Step> reference);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_STEPS_H_
