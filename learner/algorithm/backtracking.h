#ifndef RECKON_LEARNER_ALGORITHM_BACKTRACKING_H_
#define RECKON_LEARNER_ALGORITHM_BACKTRACKING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/task/format.h"
#include "learner/orm/step_tokens.h"
#include "proto/config.pb.h"

namespace reckon {

// The curriculum that begins solutions with steps of the worked one, fewer and fewer of them
// (paper, appendix; the shape of the schedule is ours: linear). The tokens are forced: the policy
// goes on from them and learns its own alone. A function of problem and step. Immutable.
class Backtracking {
 public:
  // Borrows the formatter and the tokenizer.
  Backtracking(const PpoSettings& settings, const PromptFormatter& formatter,
               const Tokenizer& tokenizer);

  // Of a worked solution's steps: backtrack_from at step 0, none from backtrack_steps on.
  double ShareAt(int64_t step) const;
  // The first steps of a worked solution, rounded down, as a perfect sample would begin. Its last
  // step and its answer are never among them.
  std::vector<uint32_t> Prefix(const std::string& solution, int64_t step) const;

 private:
  const PpoSettings settings_;
  const PromptFormatter& formatter_;
  const StepTokens ends_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_BACKTRACKING_H_
