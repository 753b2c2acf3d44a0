#ifndef RECKON_LEARNER_SAMPLING_BACKTRACKING_H_
#define RECKON_LEARNER_SAMPLING_BACKTRACKING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/experience/solution.h"
#include "proto/config.pb.h"

namespace reckon {

// Backtracking (paper, appendix): a curriculum that gives the policy the first steps of the worked
// solution, at training step t
//
//   share(t) = backtracking.from * (1 - t / backtracking.steps),  0 from t = backtracking.steps on
//
// of them; the paper leaves the shape open, linear is ours. The given tokens are forced, so that
// the policy learns only from its own. Immutable.
class Backtracking {
 public:
  // Borrows the formatter and the tokenizer.
  Backtracking(const PpoSettings& settings, const PromptFormatter& formatter,
               const Tokenizer& tokenizer);

  double ShareAt(int64_t step) const;
  // Tokens of the first floor(share * steps) steps of a worked solution, as a perfect sample would
  // begin. The last step and the line with the answer are never among them.
  std::vector<uint32_t> Prefix(const std::string& solution, int64_t step) const;

  // INVALID_ARGUMENT names the first problem without worked steps, or whose prompt, longest prefix
  // and new tokens are more than `limit`.
  absl::Status Check(const std::vector<Problem>& problems, int64_t limit) const;

 private:
  const PpoSettings settings_;
  const PromptFormatter& formatter_;
  const StepTokens ends_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_BACKTRACKING_H_
