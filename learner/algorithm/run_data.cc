#include "learner/algorithm/run_data.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/dataset.h"
#include "common/task/steps.h"
#include "learner/algorithm/backtracking.h"

namespace reckon {
namespace {

absl::StatusOr<PromptFormatter> MakeFormatter(const RunConfig& config, const RunData& data,
                                              DataSettings::Format format) {
  std::vector<Problem> examples;
  if (format == DataSettings::FEW_SHOT) {
    size_t count = std::min<size_t>(config.data().few_shot_examples(), data.train.size());
    examples.assign(data.train.begin(), data.train.begin() + count);
  }
  return PromptFormatter::Create(format, data.tokenizer.get(),
                                 data.chat.has_value() ? &*data.chat : nullptr,
                                 std::move(examples));
}

absl::Status CheckSft(const Stage& stage, const RunData& data, int64_t max_positions) {
  for (int64_t i = 0; i < SftProblems(stage.sft(), data); ++i) {
    const Problem& problem = data.train[i];
    if (problem.solution.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked solution, which stage '", stage.name(),
                       "' learns; remove the stage or limit it with sft.limit"));
    }
    int64_t tokens = WorkedSequence(data, problem).tokens.size();
    if (tokens > stage.training().max_tokens() || tokens > max_positions) {
      return absl::InvalidArgumentError(absl::StrCat(
          problem.source, ": ", tokens, " tokens, above ",
          tokens > max_positions
              ? absl::StrCat("the model's ", max_positions, " positions")
              : absl::StrCat("training.max_tokens ", stage.training().max_tokens(), "; raise it")));
    }
  }
  return absl::OkStatus();
}

// Every prompt must leave room for `max_new_tokens`.
absl::Status CheckPrompts(const std::vector<Problem>& problems, const PromptFormatter& formatter,
                          int64_t max_new_tokens, const std::string& key, int64_t limit,
                          const std::string& limit_name) {
  for (const Problem& problem : problems) {
    int64_t tokens = formatter.Prompt(problem).size();
    if (tokens + max_new_tokens > limit) {
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": ", tokens, " prompt tokens and ", key, " ",
                       max_new_tokens, " do not fit into ", limit_name, " ", limit));
    }
  }
  return absl::OkStatus();
}

// Step rewards compare with a worked solution.
template <typename Rewards>
absl::Status CheckDense(const Rewards& rewards, const std::vector<Problem>& problems) {
  for (const RewardSettings& reward : rewards) {
    if (reward.kind() != RewardSettings::STEP_MATCH) continue;
    for (const Problem& problem : problems) {
      if (!SplitSteps(problem.solution).empty()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked steps, which reward STEP_MATCH compares with; ",
                       "use EXACT_MATCH_STRICT, or data with solutions"));
    }
  }
  return absl::OkStatus();
}

// Solutions that are begun have steps to begin with, and room behind them.
absl::Status CheckBacktracking(const Stage& stage, const RunData& data, int64_t max_positions) {
  const PpoSettings& ppo = stage.ppo();
  if (ppo.backtrack_steps() == 0) return absl::OkStatus();
  const int64_t limit = std::min<int64_t>(stage.training().max_tokens(), max_positions);
  const Backtracking backtracking(ppo, *data.prompt, *data.tokenizer);
  for (const Problem& problem : data.train) {
    if (SplitSteps(problem.solution).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked steps, with which ppo.backtrack_steps ",
                       ppo.backtrack_steps(), " begins solutions; set it to 0"));
    }
    const size_t begun = data.prompt->Prompt(problem).size() +
                         backtracking.Prefix(problem.solution, /*step=*/0).size();
    if (static_cast<int64_t>(begun) + ppo.sampling().max_new_tokens() <= limit) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        problem.source, ": ", begun, " tokens of prompt and begun solution and ",
        "ppo.sampling.max_new_tokens ", ppo.sampling().max_new_tokens(), " do not fit into ", limit,
        ", the lesser of training.max_tokens and the model's positions; lower backtrack_from"));
  }
  return absl::OkStatus();
}

absl::Status CheckPpo(const Stage& stage, const RunData& data, int64_t max_positions) {
  int64_t new_tokens = stage.ppo().sampling().max_new_tokens();
  const std::string key = "ppo.sampling.max_new_tokens";
  RETURN_IF_ERROR(CheckDense(stage.ppo().reward(), data.train));
  RETURN_IF_ERROR(CheckBacktracking(stage, data, max_positions));
  RETURN_IF_ERROR(CheckPrompts(data.train, *data.prompt, new_tokens, key,
                               stage.training().max_tokens(), "training.max_tokens"));
  return CheckPrompts(data.train, *data.prompt, new_tokens, key, max_positions,
                      "the model's positions");
}

absl::Status CheckOrm(const Stage& stage, const RunData& data, int64_t max_positions) {
  // A judged sequence has one token more.
  const int64_t new_tokens = stage.orm().sampling().max_new_tokens() + 1;
  const std::string key = "orm.sampling.max_new_tokens + 1 =";
  RETURN_IF_ERROR(CheckPrompts(data.train, *data.prompt, new_tokens, key,
                               stage.training().max_tokens(), "training.max_tokens"));
  return CheckPrompts(data.train, *data.prompt, new_tokens, key, max_positions,
                      "the model's positions");
}

absl::Status CheckEi(const Stage& stage, const RunData& data, int64_t max_positions) {
  int64_t new_tokens = stage.ei().sampling().max_new_tokens();
  const std::string key = "ei.sampling.max_new_tokens";
  RETURN_IF_ERROR(CheckDense(stage.ei().reward(), data.train));
  RETURN_IF_ERROR(CheckPrompts(data.train, *data.training, new_tokens, key,
                               stage.training().max_tokens(), "training.max_tokens"));
  const PromptFormatter& widest = stage.ei().few_shot_first_round() ? *data.few_shot : *data.prompt;
  return CheckPrompts(data.train, widest, new_tokens, key, max_positions, "the model's positions");
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunData>> LoadRunData(const RunConfig& config,
                                                     const WeightManifest& model) {
  auto data = std::make_unique<RunData>();
  ASSIGN_OR_RETURN(data->train, LoadProblems(config.data(), Split::kTrain));
  ASSIGN_OR_RETURN(data->eval, LoadProblems(config.data(), Split::kEval));
  size_t limit = config.eval().limit();
  if (limit > 0 && data->eval.size() > limit) data->eval.resize(limit);
  ASSIGN_OR_RETURN(data->tokenizer,
                   Tokenizer::Create(model.tokenizer_json(), model.tokenizer_model()));
  DataSettings::Format format = config.data().format();
  if (format == DataSettings::CHAT) {
    ASSIGN_OR_RETURN(data->chat, ChatTemplate::Create(model.tokenizer_config_json()));
  }
  ASSIGN_OR_RETURN(data->prompt, MakeFormatter(config, *data, format));
  ASSIGN_OR_RETURN(
      data->training,
      MakeFormatter(config, *data, format == DataSettings::CHAT ? format : DataSettings::PLAIN));
  for (const Stage& stage : config.stage()) {
    if (!stage.ei().few_shot_first_round()) continue;
    ASSIGN_OR_RETURN(data->few_shot, MakeFormatter(config, *data, DataSettings::FEW_SHOT));
  }
  return data;
}

absl::Status CheckShape(const RunConfig& config, const ModelConfig& shape) {
  for (const Stage& stage : config.stage()) {
    if (stage.ppo().value_layers() >= shape.num_layers) {
      return absl::InvalidArgumentError(absl::StrCat(
          stage.name(), ": ppo.value_layers: ", stage.ppo().value_layers(), " of a model with ",
          shape.num_layers, " layers; the policy's first one has to be below them"));
    }
    if (stage.training().lora_rank() > shape.hidden_size) {
      return absl::InvalidArgumentError(absl::StrCat(
          stage.name(), ": training.lora_rank: ", stage.training().lora_rank(),
          " is above the model's hidden_size ", shape.hidden_size, "; set 0 to train all of it"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRunData(const RunConfig& config, const RunData& data, int64_t max_positions) {
  if (data.eval.empty()) return absl::InvalidArgumentError("data.eval: no problems");
  RETURN_IF_ERROR(CheckPrompts(data.eval, *data.prompt, config.eval().max_new_tokens(),
                               "eval.max_new_tokens", max_positions, "the model's positions"));
  for (const Stage& stage : config.stage()) {
    if (stage.has_eval() || stage.has_init()) continue;
    if (data.train.empty()) return absl::InvalidArgumentError("data.train: no problems");
    if (stage.has_rcrl()) continue;  // its samples are there already
    auto check = stage.has_sft()   ? CheckSft
                 : stage.has_ppo() ? CheckPpo
                 : stage.has_orm() ? CheckOrm
                                   : CheckEi;
    RETURN_IF_ERROR(check(stage, data, max_positions));
  }
  return absl::OkStatus();
}

int64_t SftProblems(const SftSettings& sft, const RunData& data) {
  int64_t all = data.train.size();
  return sft.limit() > 0 ? std::min<int64_t>(sft.limit(), all) : all;
}

TrainingSequence WorkedSequence(const RunData& data, const Problem& problem) {
  return MakeSequence(data.training->Prompt(problem), data.training->Completion(problem.solution));
}

int64_t EarlierSftProblems(const RunConfig& config, int64_t stage, const RunData& data) {
  int64_t count = 0;
  for (int64_t i = 0; i < stage; ++i) {
    const Stage& earlier = config.stage(static_cast<int>(i));
    if (earlier.has_sft()) count = std::max(count, SftProblems(earlier.sft(), data));
  }
  return count;
}

std::vector<TrainingSequence> EarlierSolutions(const RunConfig& config, int64_t stage,
                                               const RunData& data) {
  const int64_t count = EarlierSftProblems(config, stage, data);
  std::vector<TrainingSequence> sequences;
  for (int64_t i = 0; i < count; ++i) sequences.push_back(WorkedSequence(data, data.train[i]));
  return sequences;
}

}  // namespace reckon
