#include "learner/data/checks.h"

#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/task/prompt/overlong.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

// What a stage or the evaluations put into the model's context.
struct ContextUse {
  std::string need;  // for the error: "prompt and eval.max_new_tokens 256"
  std::function<int64_t(const Problem&)> tokens;
};

ContextUse Sampling(const PromptFormatter& formatter, int64_t new_tokens, const std::string& key,
                    int64_t limit) {
  return {.need = absl::StrCat("prompt and ", key, " ", new_tokens),
          .tokens = [&formatter, new_tokens, limit](const Problem& problem) {
            return PromptTokens(formatter, problem, limit - new_tokens) + new_tokens;
          }};
}

// `few_shot` may be null unless a stage samples with it.
std::vector<ContextUse> UsesOf(const RunConfig& config, const RunData& data,
                               const PromptFormatter* few_shot, int64_t limit) {
  std::vector<ContextUse> uses;
  for (const Stage& stage : config.stage()) {
    const StageInfo info(stage);
    if (info.sampling() == nullptr) continue;
    const std::string key = info.kind() + ".sampling.max_new_tokens";
    const int64_t new_tokens = info.sampling()->max_new_tokens();
    const bool few = stage.has_ei() && stage.ei().few_shot_first_round();
    // A sequence of a reward model's predictions has one token more than the solution.
    uses.push_back(Sampling(few ? *few_shot : *data.prompt, new_tokens + (stage.has_orm() ? 1 : 0),
                            stage.has_orm() ? key + " + 1 =" : key, limit));
  }
  return uses;
}

// Takes the problems that do not fit out of `problems`, or refuses them.
absl::Status Apply(const RunConfig& config, const std::string& setting, const ContextUse& use,
                   int64_t limit, std::vector<Problem>* problems, BadRecords* left_out,
                   std::map<std::string, uint64_t>* of_set) {
  const OverlongProblems overlong = FindOverlong(*problems, limit, use.tokens);
  if (config.data().overlong_problems() == DataSettings::REFUSE) {
    return RefuseOverlong(setting, *problems, overlong,
                          absl::StrCat("the model's ", limit, " positions"), use.need,
                          "lower that, or set data.overlong_problems: COUNT_WRONG (left out of "
                          "training, wrong in evaluations)");
  }
  left_out->Append(overlong.named);
  for (size_t i : overlong.indices) {
    if (!(*problems)[i].set.empty()) ++(*of_set)[(*problems)[i].set];
  }
  RemoveProblems(overlong.indices, problems);
  if (!problems->empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(setting, ": none of the ", left_out->count(),
                                                 " problems fits into the model's ", limit,
                                                 " positions with ", use.need));
}

}  // namespace

absl::Status CheckRunData(const RunConfig& config, const RunData& data, const ModelConfig& model) {
  for (const Stage& stage : config.stage()) {
    if (stage.training().lora_rank() <= model.hidden_size) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        stage.name(), ": training.lora_rank: ", stage.training().lora_rank(),
        " is above the model's hidden_size ", model.hidden_size, "; set 0 to train all of it"));
  }
  if (data.eval.empty()) return absl::InvalidArgumentError("data.eval: no problems");
  return absl::OkStatus();
}

absl::Status ApplyOverlongRule(const RunConfig& config, const ModelConfig& model, RunData* data) {
  std::optional<PromptFormatter> few_shot;
  for (const Stage& stage : config.stage()) {
    if (!stage.ei().few_shot_first_round() || few_shot.has_value()) continue;
    ASSIGN_OR_RETURN(few_shot, MakeFormatter(*data, DataSettings::FEW_SHOT));
  }
  const int64_t limit = model.max_positions;
  for (const ContextUse& use :
       UsesOf(config, *data, few_shot.has_value() ? &*few_shot : nullptr, limit)) {
    std::map<std::string, uint64_t> of_set;
    RETURN_IF_ERROR(
        Apply(config, "data.train", use, limit, &data->train, &data->overlong_train, &of_set));
  }
  return Apply(
      config, "data.eval",
      Sampling(*data->prompt, config.eval().max_new_tokens(), "eval.max_new_tokens", limit), limit,
      &data->eval, &data->overlong_eval, &data->overlong_eval_of_set);
}

absl::Status CheckSequencesFit(const RunData& data, const PromptFormatter& formatter,
                               int64_t new_tokens, const std::string& key,
                               const TrainingSettings& training) {
  const int64_t limit = training.max_tokens();
  const OverlongProblems overlong = FindOverlong(data.train, limit, [&](const Problem& problem) {
    return PromptTokens(formatter, problem, limit - new_tokens) + new_tokens;
  });
  return RefuseOverlong("data.train", data.train, overlong,
                        absl::StrCat("training.max_tokens ", limit),
                        absl::StrCat("prompt and ", key, " ", new_tokens), "raise it");
}

absl::Status CheckStepRewards(const google::protobuf::RepeatedPtrField<RewardSpec>& rewards,
                              const std::vector<Problem>& problems) {
  for (const RewardSpec& reward : rewards) {
    if (reward.kind() != RewardSpec::STEP_MATCH) continue;
    BadRecords without;
    for (const Problem& problem : problems) {
      if (!SplitSteps(problem.solution).empty()) continue;
      without.Add(problem.source, "no worked steps, which reward STEP_MATCH compares with");
    }
    RETURN_IF_ERROR(without.Refuse(absl::StrCat("data.train: ", without.count(), " of ",
                                                problems.size(), " problems cannot be scored"),
                                   "use EXACT_MATCH_STRICT, or data with solutions"));
  }
  return absl::OkStatus();
}

}  // namespace reckon
