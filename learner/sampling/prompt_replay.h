#ifndef RECKON_LEARNER_SAMPLING_PROMPT_REPLAY_H_
#define RECKON_LEARNER_SAMPLING_PROMPT_REPLAY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "proto/checkpoint.pb.h"
#include "proto/config.pb.h"

namespace reckon {

// Prioritised level replay over problems (Jiang, Grefenstette, Rocktaeschel 2021; tried in the
// paper's appendix). Each prompt of a step is, with chance replay.ratio, a problem that was seen
// before; seen problem i is drawn with chance
//
//   (1 - c) * rank_i^(-1/temperature) / sum  +  c * (step - step_i) / sum,   c = staleness_coef
//
// where rank_i is its place by score and step_i when it was last seen. Draws are functions of (key,
// step, state), so that a run that resumes from a checkpoint's state draws the same. Owned by
// RolloutStream; one thread.
class PromptReplay {
 public:
  // One prompt of a step: the next new one, or a seen problem.
  struct Choice {
    bool replayed = false;
    size_t problem = 0;  // index in the training data, when replayed
    bool operator==(const Choice&) const = default;
  };

  PromptReplay(const PpoSettings& settings, uint64_t key, ReplayState state);

  // The prompts of a step. No seen problem is drawn twice; when all are drawn, new ones follow.
  std::vector<Choice> Draw(int64_t step) const;
  // The chances above, in the order of state().seen.
  std::vector<double> Chances(int64_t step) const;
  // Records how much the step's samples of these problems taught, a score each. A problem that is
  // there twice, once new in another pass over the data and once replayed, gets the mean. `fresh`:
  // how many of the prompts were new.
  void Record(int64_t step, absl::Span<const size_t> problems, absl::Span<const double> scores,
              int64_t fresh);

  const ReplayState& state() const { return state_; }

 private:
  const PpoSettings settings_;
  const uint64_t key_;
  ReplayState state_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_PROMPT_REPLAY_H_
