#ifndef RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_
#define RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/algorithm.h"
#include "learner/update/training_sequence.h"

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

// Rank 0's parts of a round, in order.

// Samples the cursor's round and records its selection.
absl::Status SampleRound(LearnerContext& context, const EiSettings& settings);

// Sequences of the selections of rounds 0 to the cursor's, duplicates between rounds dropped, in
// the order of the rounds.
absl::StatusOr<std::vector<TrainingSequence>> UnionOfSelections(LearnerContext& context,
                                                                const EiSettings& settings);

// "ei_1/round_2", of plan and selection.
std::string RoundRecord(const LearnerContext& context, int64_t round);

// Problems that group 0, 1 ... of a round's plan ask.
std::vector<const Problem*> RoundProblems(const LearnerContext& context, const EiSettings& settings,
                                          int64_t round);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_H_
