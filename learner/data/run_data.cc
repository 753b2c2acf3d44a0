#include "learner/data/run_data.h"

#include <utility>

#include "absl/strings/str_cat.h"
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
  const AnswerUse use = AnswerUseOf(config);
  ASSIGN_OR_RETURN(Dataset train, LoadDataset(config.data(), Split::kTrain, use));
  ASSIGN_OR_RETURN(Dataset eval, LoadDataset(config.data(), Split::kEval, use));
  for (const Dataset* split : {&train, &eval}) {
    for (const std::string& note : split->notes) LOG(WARNING) << note;
  }
  data->train = std::move(train.problems);
  data->examples = FirstExamples(config.data(), data->train);
  data->eval = std::move(eval.problems);
  data->bad_train = std::move(train.left_out);
  data->bad_eval = std::move(eval.left_out);
  size_t limit = config.eval().limit();
  if (limit > 0 && data->eval.size() > limit) data->eval.resize(limit);
  ASSIGN_OR_RETURN(static_cast<ModelText&>(*data), LoadModelText(model, config.data()));
  const DataSettings::Format format = config.data().format();
  ASSIGN_OR_RETURN(data->prompt, MakeFormatter(*data, format));
  ASSIGN_OR_RETURN(
      data->training,
      MakeFormatter(*data, format == DataSettings::CHAT ? format : DataSettings::PLAIN));
  const DataSettings::Bad::Records rule = config.data().bad_records();
  RETURN_IF_ERROR(KeepAskable(*data->prompt, rule, "data.train", &data->train, &data->bad_train));
  RETURN_IF_ERROR(KeepAskable(*data->prompt, rule, "data.eval", &data->eval, &data->bad_eval));
  return data;
}

void ReportLeftOut(const RunData& data, Reporter& reporter) {
  if (data.bad_train.count() + data.bad_eval.count() > 0) {
    reporter.AddLine(absl::StrCat("bad records, left out: ", data.bad_train.count(),
                                  " of data.train, ", data.bad_eval.count(), " of data.eval"));
  }
  if (data.overlong_train.count() + data.overlong_eval.count() == 0) return;
  reporter.AddLine(
      absl::StrCat("do not fit into the model's positions: ", data.overlong_train.count(),
                   " problems of data.train, left out, and ", data.overlong_eval.count(),
                   " of data.eval, which count as wrong"));
  for (const BadRecords* overlong : {&data.overlong_train, &data.overlong_eval}) {
    for (const std::string& line : overlong->Lines()) LOG(WARNING) << "too long:" << line;
  }
}

absl::StatusOr<PromptFormatter> MakeFormatter(const RunData& data, DataSettings::Format format) {
  return MakeFormatter(data, format,
                       format == DataSettings::FEW_SHOT ? data.examples : std::vector<Problem>());
}

TrainingSequence WorkedSequence(const RunData& data, const Problem& problem) {
  return MakeSequence(data.training->Prompt(problem), data.training->Completion(problem.solution));
}

}  // namespace reckon
