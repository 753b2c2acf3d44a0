#ifndef RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_
#define RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/algorithm.h"

namespace reckon {

// Expert iteration: each round samples K solutions a problem from the policy, keeps those the
// reward accepts, drops duplicates, records them as a selection, and fine-tunes on the union of all
// rounds' selections (and the worked solutions of earlier sft stages, if asked for).
class ExpertIteration : public Algorithm {
 public:
  explicit ExpertIteration(EiSettings settings) : settings_(std::move(settings)) {}
  int64_t rounds() const override { return settings_.rounds(); }
  absl::Status Round(LearnerContext& context) override;

 private:
  const EiSettings settings_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_
