#include "learner/data/run_data.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "common/task/dataset/dataset.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<RunData>> LoadRunData(const RunConfig& config,
                                                     const WeightManifest& model) {
  auto data = std::make_unique<RunData>();
  ASSIGN_OR_RETURN(data->train, LoadProblems(config.data(), Split::kTrain));
  ASSIGN_OR_RETURN(data->eval, LoadProblems(config.data(), Split::kEval));
  size_t limit = config.eval().limit();
  if (limit > 0 && data->eval.size() > limit) data->eval.resize(limit);
  ASSIGN_OR_RETURN(data->tokenizer,
                   Tokenizer::Create(model.tokenizer_json(), model.tokenizer_model()));
  ASSIGN_OR_RETURN(data->ends, FindEndTokens(model, *data->tokenizer));
  DataSettings::Format format = config.data().format();
  if (format == DataSettings::CHAT) {
    ASSIGN_OR_RETURN(data->chat, ChatTemplate::Create(model.tokenizer_config_json(),
                                                      config.data().chat_template_kwargs()));
  }
  ASSIGN_OR_RETURN(data->prompt, MakeFormatter(config, *data, format));
  ASSIGN_OR_RETURN(
      data->training,
      MakeFormatter(config, *data, format == DataSettings::CHAT ? format : DataSettings::PLAIN));
  RETURN_IF_ERROR(data->prompt->Check(data->train));
  RETURN_IF_ERROR(data->prompt->Check(data->eval));
  return data;
}

absl::StatusOr<PromptFormatter> MakeFormatter(const RunConfig& config, const RunData& data,
                                              DataSettings::Format format) {
  std::vector<Problem> examples;
  if (format == DataSettings::FEW_SHOT) {
    size_t count = std::min<size_t>(config.data().few_shot_examples(), data.train.size());
    examples.assign(data.train.begin(), data.train.begin() + count);
  }
  return PromptFormatter::Create(format, data.tokenizer.get(),
                                 data.chat.has_value() ? &*data.chat : nullptr, std::move(examples),
                                 data.ends, config.data().system_prompt());
}

TrainingSequence WorkedSequence(const RunData& data, const Problem& problem) {
  return MakeSequence(data.training->Prompt(problem), data.training->Completion(problem.solution));
}

}  // namespace reckon
