#include "learner/experience/reward_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/sigmoid.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_folder.h"
#include "common/text/tokenizer.h"

namespace reckon {

absl::StatusOr<RewardModel::Files> RewardModel::Read(const std::string& folder) {
  Files files;
  ASSIGN_OR_RETURN(files.weights, ReadModelFolder(folder));
  ASSIGN_OR_RETURN(files.head, RewardHead::ReadText(folder));
  return files;
}

absl::StatusOr<std::unique_ptr<RewardModel>> RewardModel::Create(const Files& files,
                                                                 const std::string& folder,
                                                                 const WeightManifest& policy,
                                                                 Dtype compute, Backend backend,
                                                                 RankGroup* shard_group) {
  const Weights& weights = files.weights;
  if (!SameTokens(weights.texts(), policy.texts())) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, ": this reward model has another tokenizer than the policy; train one ",
        "from the policy with an orm stage"));
  }
  ASSIGN_OR_RETURN(const ModelConfig shape,
                   ModelConfig::Parse(weights.manifest.texts().config_json()));
  ASSIGN_OR_RETURN(RewardHead head,
                   RewardHead::Parse(files.head, folder, shape.hidden_size, DeviceOf(backend)));
  auto model = std::make_unique<Transformer>(shape, compute, backend,
                                             ModelMemory{.shard_group = shard_group});
  RETURN_IF_ERROR(model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/false));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   Tokenizer::Create(weights.manifest.texts().tokenizer_json(),
                                     weights.manifest.texts().tokenizer_model()));
  return std::unique_ptr<RewardModel>(
      new RewardModel(std::move(model), std::move(head), StepTokens(*tokenizer)));
}

absl::StatusOr<TokenValues> RewardModel::Score(Parallel& parallel,
                                               absl::Span<const Solution> solutions,
                                               int64_t micro_batch_tokens) {
  std::vector<TrainingSequence> sequences;
  for (const Solution& solution : solutions) {
    for (uint32_t token : solution.tokens) {
      if (token < model_->config().vocab_size) continue;
      return absl::InvalidArgumentError(absl::StrCat("a rollout's token ", token,
                                                     " is not in the reward model's vocabulary of ",
                                                     model_->config().vocab_size));
    }
    sequences.push_back(PredictionSequence(solution, 0, nullptr));
  }
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  TokenValues probabilities;
  RETURN_IF_ERROR(ScoreTokens(
      *model_, parallel, batch, micro_batch_tokens, {.logprobs = false}, nullptr,
      [this](const MicroBatch&, const TokenStates& states) {
        return at::sigmoid(head_.Forward(states.hidden));
      },
      &probabilities));
  return probabilities;
}

}  // namespace reckon
