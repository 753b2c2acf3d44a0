#include "learner/data/checks.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

constexpr char kPositions[] = "the model's positions";

}  // namespace

absl::Status CheckRunData(const RunConfig& config, const RunData& data, const ModelConfig& model) {
  for (const Stage& stage : config.stage()) {
    if (stage.training().lora_rank() <= model.hidden_size) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        stage.name(), ": training.lora_rank: ", stage.training().lora_rank(),
        " is above the model's hidden_size ", model.hidden_size, "; set 0 to train all of it"));
  }
  if (data.eval.empty()) return absl::InvalidArgumentError("data.eval: no problems");
  return CheckPromptsFit(data.eval, *data.prompt, config.eval().max_new_tokens(),
                         "eval.max_new_tokens", model.max_positions, kPositions);
}

absl::Status CheckPromptsFit(const std::vector<Problem>& problems, const PromptFormatter& formatter,
                             int64_t new_tokens, const std::string& key, int64_t limit,
                             const std::string& limit_name) {
  for (const Problem& problem : problems) {
    const int64_t tokens = formatter.Prompt(problem).size();
    if (tokens + new_tokens <= limit) continue;
    return absl::InvalidArgumentError(absl::StrCat(problem.source, ": ", tokens,
                                                   " prompt tokens and ", key, " ", new_tokens,
                                                   " do not fit into ", limit_name, " ", limit));
  }
  return absl::OkStatus();
}

absl::Status CheckTrainPromptsFit(const RunData& data, const PromptFormatter& trained,
                                  const PromptFormatter& sampled, int64_t new_tokens,
                                  const std::string& key, const TrainingSettings& training,
                                  const ModelConfig& model) {
  RETURN_IF_ERROR(CheckPromptsFit(data.train, trained, new_tokens, key, training.max_tokens(),
                                  "training.max_tokens"));
  return CheckPromptsFit(data.train, sampled, new_tokens, key, model.max_positions, kPositions);
}

absl::Status CheckStepRewards(const google::protobuf::RepeatedPtrField<RewardSpec>& rewards,
                              const std::vector<Problem>& problems) {
  for (const RewardSpec& reward : rewards) {
    if (reward.kind() != RewardSpec::STEP_MATCH) continue;
    for (const Problem& problem : problems) {
      if (!SplitSteps(problem.solution).empty()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked steps, which reward STEP_MATCH compares with; ",
                       "use EXACT_MATCH_STRICT, or data with solutions"));
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
