#ifndef RECKON_LEARNER_EXPERIENCE_REWARD_MODEL_H_
#define RECKON_LEARNER_EXPERIENCE_REWARD_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/files/model_folder.h"
#include "common/model/transformer.h"
#include "learner/experience/reward_head.h"
#include "learner/experience/solution.h"
#include "learner/parallel/parallel.h"
#include "learner/update/scoring.h"

namespace reckon {

// An outcome reward model that an orm stage wrote, ready to use: a transformer of its own, a reward
// head, and the steps of its tokenizer. Kept in RunState, see OpenRewardModel; one thread.
class RewardModel {
 public:
  // What its folder holds.
  struct Files {
    Weights weights;
    std::string head;  // the text of reward_head.json
  };
  static absl::StatusOr<Files> Read(const std::string& folder);
  // With `shard_group`, which outlives it, these ranks divide its weights; all of them make it, and
  // each Score is theirs. INVALID_ARGUMENT when its tokenizer is not that of the policy whose
  // manifest is given. Errors name the folder.
  static absl::StatusOr<std::unique_ptr<RewardModel>> Create(const Files& files,
                                                             const std::string& folder,
                                                             const WeightManifest& policy,
                                                             Dtype compute, Backend backend,
                                                             RankGroup* shard_group = nullptr);

  // For each solution, completion tokens + 1 probabilities that it ends in the right answer: after
  // the prompt alone, and after each token of the completion. A collective over `parallel`: the
  // ranks divide the work, and each gets all of it; MakeSingle() for a rank alone. INVALID_ARGUMENT
  // when a token is not in the vocabulary.
  absl::StatusOr<TokenValues> Score(Parallel& parallel, absl::Span<const Solution> solutions,
                                    int64_t micro_batch_tokens);

  const StepTokens& steps() const { return steps_; }
  bool sharded() const { return model_->sharded(); }

 private:
  RewardModel(std::unique_ptr<Transformer> model, RewardHead head, StepTokens steps)
      : model_(std::move(model)), head_(std::move(head)), steps_(std::move(steps)) {}

  const std::unique_ptr<Transformer> model_;
  const RewardHead head_;
  const StepTokens steps_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_REWARD_MODEL_H_
