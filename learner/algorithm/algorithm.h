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
  // Updates context.model by round context.cursor.round. Called again after an interruption, with
  // the same round: what is recorded is not done again.
  virtual absl::Status Round(LearnerContext& context) = 0;
};

// One of the stage's kind; null for an eval stage.
std::unique_ptr<Algorithm> MakeAlgorithm(const Stage& stage);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ALGORITHM_H_
