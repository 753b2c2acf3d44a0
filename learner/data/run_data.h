#ifndef RECKON_LEARNER_DATA_RUN_DATA_H_
#define RECKON_LEARNER_DATA_RUN_DATA_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset/bad_records.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/model_text.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/data/training_sequence.h"
#include "learner/report/reporter.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// The run's problems and what turns them into tokens. The leader's alone; immutable once loaded.
struct RunData : ModelText {
  std::vector<Problem> train, eval;                      // those that fit, after ApplyOverlongRule
  std::vector<Problem> examples;                         // of FEW_SHOT: the first of data.train, as
                                                         // read, whatever is left out of it later
  BadRecords overlong_train, overlong_eval;              // left out by it
  BadRecords bad_train, bad_eval;                        // left out by data.bad_records
  std::map<std::string, uint64_t> overlong_eval_of_set;  // of a mixture, by set
  std::optional<PromptFormatter> prompt;                 // of data.format: samples and evaluations
  std::optional<PromptFormatter> training;  // the same without worked examples: training sequences
};

// Reads problems and tokenizer. Errors name the file, line or setting.
absl::StatusOr<std::unique_ptr<RunData>> LoadRunData(const RunConfig& config,
                                                     const FolderTexts& model);

// Says what was left out: numbers in the run's lines, names in the log.
void ReportLeftOut(const RunData& data, Reporter& reporter);

// A formatter of another format for the same data, which it borrows.
absl::StatusOr<PromptFormatter> MakeFormatter(const RunData& data, DataSettings::Format format);

// The worked solution of a problem as a training sequence.
TrainingSequence WorkedSequence(const RunData& data, const Problem& problem);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_RUN_DATA_H_
