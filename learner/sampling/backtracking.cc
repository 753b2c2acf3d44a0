#include "learner/sampling/backtracking.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {

Backtracking::Backtracking(const PpoSettings& settings, const PromptFormatter& formatter,
                           const Tokenizer& tokenizer)
    : settings_(settings), formatter_(formatter), ends_(tokenizer) {}

double Backtracking::ShareAt(int64_t step) const {
  const auto steps = static_cast<int64_t>(settings_.backtracking().steps());
  if (step >= steps) return 0;
  return settings_.backtracking().from() *
         (1 - static_cast<double>(step) / static_cast<double>(steps));
}

std::vector<uint32_t> Backtracking::Prefix(const std::string& solution, int64_t step) const {
  std::vector<uint32_t> tokens = formatter_.Completion(solution);
  tokens.pop_back();  // the end of the text
  const std::vector<size_t> ends = ends_.EndsOf(tokens, 0);
  const auto steps = static_cast<int64_t>(ends.size()) - 1;  // without the line of the answer
  const int64_t given =
      std::min(steps - 1, static_cast<int64_t>(ShareAt(step) * static_cast<double>(steps)));
  tokens.resize(given <= 0 ? 0 : ends[given - 1]);
  return tokens;
}

absl::Status Backtracking::Check(const std::vector<Problem>& problems, int64_t limit) const {
  const int64_t new_tokens = settings_.sampling().max_new_tokens();
  for (const Problem& problem : problems) {
    if (SplitSteps(problem.solution).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked steps, with which ppo.backtracking.steps ",
                       settings_.backtracking().steps(), " begins solutions; set it to 0"));
    }
    // The share falls from step to step, so step 0 gives the longest prefix.
    const auto given = static_cast<int64_t>(formatter_.Prompt(problem).size() +
                                            Prefix(problem.solution, /*step=*/0).size());
    if (given + new_tokens <= limit) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        problem.source, ": ", given, " tokens of prompt and given steps and ",
        "ppo.sampling.max_new_tokens ", new_tokens, " do not fit into ", limit,
        ", the lesser of training.max_tokens and the model's positions; lower backtracking.from"));
  }
  return absl::OkStatus();
}

}  // namespace reckon
