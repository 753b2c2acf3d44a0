#ifndef RECKON_COMMON_TASK_REWARD_SOLUTION_STEPS_H_
#define RECKON_COMMON_TASK_REWARD_SOLUTION_STEPS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// The steps of worked solutions. Pure functions of any bytes, linear in their length. In GSM8K a
// calculation is marked "48/2=<<48/2=24>>24".

// A solution step is a line that is neither blank nor the final "#### N" (paper, section 3: steps
// are split at newlines).
struct SolutionStep {
  size_t end = 0;  // offset of the byte after the step's newline, or the size of the text
  // The step's result in canonical form: what follows the last "=" of its last <<...>> mark, or its
  // last number. Empty if it has neither.
  std::optional<std::string> result;
};

// `truncated`: the text was cut, so that a last line without a newline is half a step and has no
// result.
std::vector<SolutionStep> SplitSteps(absl::string_view solution, bool truncated = false);

// The dense heuristic reward STEP_MATCH, one value for each of `steps`. With R reference steps:
//
//   value[i] = 1/R  if result[i] equals the result of a reference step after the last one matched
//   value[i] = 0    otherwise
//
// So the order counts, no reference step counts twice, and a step's reward does not depend on what
// follows it. A perfect solution sums to 1, as the sparse reward does. The paper gives neither the
// rule nor the size.
std::vector<double> MatchSteps(absl::Span<const SolutionStep> steps,
                               absl::Span<const SolutionStep> reference);

// Returns a key that is equal for solutions that count as the same (RFT, arXiv 2308.01825): all
// <<...>> marks in order, without spaces ("<<48/2=24>><<24+48=72>>"). The key of a solution without
// marks is its whole text with white space normalised.
std::string EquationKey(absl::string_view solution);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_REWARD_SOLUTION_STEPS_H_
