#include "learner/data/run_data.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/task/dataset/dataset.h"
#include "common/task/prompt/askable.h"
#include "common/task/reward/own_rewards.h"
// Last.
#include "common/base/log.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<RunData>> LoadRunData(const RunConfig& config,
                                                     const FolderTexts& model) {
  auto data = std::make_unique<RunData>();
  const bool own_rewards = !OwnRewards(config).empty();
  ASSIGN_OR_RETURN(Dataset train, LoadDataset(config.data(), Split::kTrain, own_rewards));
  ASSIGN_OR_RETURN(Dataset eval, LoadDataset(config.data(), Split::kEval, own_rewards));
  for (const Dataset* split : {&train, &eval}) {
    for (const std::string& note : split->notes) LOG(WARNING) << note;
  }
  data->train = std::move(train.problems);
  data->eval = std::move(eval.problems);
  data->bad_train = std::move(train.left_out);
  data->bad_eval = std::move(eval.left_out);
  size_t limit = config.eval().limit();
  if (limit > 0 && data->eval.size() > limit) data->eval.resize(limit);
  ASSIGN_OR_RETURN(static_cast<ModelText&>(*data), LoadModelText(model, config.data()));
  const DataSettings::Format format = config.data().format();
  ASSIGN_OR_RETURN(data->prompt, MakeFormatter(config, *data, format));
  ASSIGN_OR_RETURN(
      data->training,
      MakeFormatter(config, *data, format == DataSettings::CHAT ? format : DataSettings::PLAIN));
  const DataSettings::Bad::Records rule = config.data().bad_records();
  RETURN_IF_ERROR(KeepAskable(*data->prompt, rule, "data.train", &data->train, &data->bad_train));
  RETURN_IF_ERROR(KeepAskable(*data->prompt, rule, "data.eval", &data->eval, &data->bad_eval));
  return data;
}

absl::StatusOr<PromptFormatter> MakeFormatter(const RunConfig& config, const RunData& data,
                                              DataSettings::Format format) {
  std::vector<Problem> examples;
  if (format == DataSettings::FEW_SHOT) examples = FirstExamples(config.data(), data.train);
  return MakeFormatter(data, format, std::move(examples));
}

TrainingSequence WorkedSequence(const RunData& data, const Problem& problem) {
  return MakeSequence(data.training->Prompt(problem), data.training->Completion(problem.solution));
}

}  // namespace reckon
