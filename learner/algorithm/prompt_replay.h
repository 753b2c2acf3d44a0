#ifndef RECKON_LEARNER_ALGORITHM_PROMPT_REPLAY_H_
#define RECKON_LEARNER_ALGORITHM_PROMPT_REPLAY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "learner/checkpoint/checkpoint.h"
#include "proto/config.pb.h"

namespace reckon {

// Prioritised level replay over problems (Jiang, Grefenstette, Rocktäschel 2021; the paper's
// appendix tries it): which prompts of a step are new ones and which are seen ones whose last
// samples taught most. Draws are functions of (key, step, state), so that a restart from a
// checkpoint's state draws the same. Rank 0's; one thread.
class PromptReplay {
 public:
  // A prompt of a step: the next new one, or a seen problem.
  struct Choice {
    bool replayed = false;
    size_t problem = 0;  // when replayed
    bool operator==(const Choice&) const = default;
  };

  PromptReplay(const PpoSettings& settings, uint64_t key, ReplayState state);

  // A step's prompts. No seen problem twice; new ones where the seen ones run out.
  std::vector<Choice> Draw(int64_t step) const;
  // Chances of being drawn first, in the order of state().seen.
  std::vector<double> Chances(int64_t step) const;
  // What the step's samples of these problems taught, by a score each; `fresh`: new ones of them.
  void Learned(int64_t step, absl::Span<const size_t> problems, absl::Span<const double> scores,
               int64_t fresh);

  const ReplayState& state() const { return state_; }

 private:
  const PpoSettings settings_;
  const uint64_t key_;
  ReplayState state_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_PROMPT_REPLAY_H_
