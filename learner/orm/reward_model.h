#ifndef RECKON_LEARNER_ORM_REWARD_MODEL_H_
#define RECKON_LEARNER_ORM_REWARD_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/orm/reward_head.h"
#include "learner/orm/solution.h"
#include "learner/orm/step_tokens.h"
#include "learner/parallel/parallel.h"
#include "learner/update/scoring.h"

namespace reckon {

// An outcome reward model as an orm stage wrote it, for use: a transformer of its own, a head, and
// the steps of its tokenizer. One thread.
class RewardModel {
 public:
  // INVALID_ARGUMENT when it reads other tokens than the policy whose manifest is given.
  static absl::StatusOr<std::unique_ptr<RewardModel>> Load(const std::string& folder,
                                                           const WeightManifest& policy,
                                                           Compute compute, Backend backend);

  // For each solution the probability that it ends in the right answer, from its prompt alone and
  // behind each token of its completion: completion tokens + 1 of them. The ranks divide the work;
  // each gets all of it. INVALID_ARGUMENT: a token outside the vocabulary.
  absl::StatusOr<TokenValues> Score(Parallel& parallel, absl::Span<const Solution> solutions,
                                    int64_t micro_batch_tokens);

  const StepTokens& steps() const { return steps_; }

 private:
  RewardModel(std::unique_ptr<Transformer> model, RewardHead head, StepTokens steps)
      : model_(std::move(model)), head_(std::move(head)), steps_(std::move(steps)) {}

  const std::unique_ptr<Transformer> model_;
  const RewardHead head_;
  const StepTokens steps_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_REWARD_MODEL_H_
