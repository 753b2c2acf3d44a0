#include "learner/sampling/backtracking.h"

#include <algorithm>

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

}  // namespace reckon
