#ifndef RECKON_LEARNER_ALGORITHM_ALGORITHM_H_
#define RECKON_LEARNER_ALGORITHM_ALGORITHM_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "learner/algorithm/learner_context.h"

namespace reckon {

// What one kind of stage does to the policy: which work comes next, and how the model learns from
// it. Publishing, checkpoints and evaluation after each round are the Learner's. Every rank calls
// Round at the same time.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  virtual int64_t rounds() const = 0;
  // Whether rounds make new versions of the policy.
  virtual bool updates_policy() const { return true; }
  // Called when the stage begins and after each restart, before parameters are restored: adds those
  // of its own to context.extra.
  virtual absl::Status Begin(LearnerContext& context) { return absl::OkStatus(); }
  // Updates context.model by round context.cursor.round. Called again after an interruption, with
  // the same round: what is recorded is not done again.
  virtual absl::Status Round(LearnerContext& context) = 0;
  // The round's version is published and, with `saved`, in a checkpoint.
  virtual absl::Status Published(LearnerContext& context, bool saved) { return absl::OkStatus(); }

  // Rounds after which the run must not fall back behind them, and those worth an evaluation.
  virtual bool SavesAfter(int64_t round) const { return true; }
  virtual bool EvaluatesAfter(int64_t round) const { return true; }
  // Optimizer state that goes on into the next round; null: none.
  virtual const AdamMoments* moments() const { return nullptr; }
};

// One of the stage's kind; null for an eval stage.
std::unique_ptr<Algorithm> MakeAlgorithm(const Stage& stage);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ALGORITHM_H_
