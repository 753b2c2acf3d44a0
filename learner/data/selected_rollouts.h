#ifndef RECKON_LEARNER_DATA_SELECTED_ROLLOUTS_H_
#define RECKON_LEARNER_DATA_SELECTED_ROLLOUTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "learner/data/training_sequence.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// From recorded rollouts to training data: without duplicates, and under the training prompt.

// The solutions of each problem that were seen so far, as 8 bytes of hash each. `rule` says which
// solutions are equal: those with the same text, the same equations, or none.
class SeenSolutions {
 public:
  explicit SeenSolutions(EiSettings::Dedup rule) : rule_(rule) {}
  // Returns whether the solution is new for this problem; with the rule NONE every one is.
  bool Insert(size_t problem, const std::string& completion);

 private:
  const EiSettings::Dedup rule_;
  absl::flat_hash_set<uint64_t> seen_;
};

// Puts a rollout's completion after another prompt than it was sampled under, e.g. one without the
// few-shot examples. Tokens are copied, never encoded again. Sampled ones are learned, forced ones
// are not.
TrainingSequence Splice(const std::vector<uint32_t>& prompt, const Rollout& rollout);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_SELECTED_ROLLOUTS_H_
