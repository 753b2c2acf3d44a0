#ifndef RECKON_LEARNER_ALGORITHM_RUN_DATA_H_
#define RECKON_LEARNER_ALGORITHM_RUN_DATA_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/format.h"
#include "common/task/problem.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"
#include "common/weights/model_config.h"
#include "learner/update/training_sequence.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// Problems and what turns them into tokens. Rank 0's alone; immutable once loaded.
struct RunData {
  std::vector<Problem> train, eval;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;
  std::optional<PromptFormatter> prompt;    // as data.format says: what is sampled and evaluated
  std::optional<PromptFormatter> few_shot;  // for few_shot_first_round
  std::optional<PromptFormatter> training;  // what is trained on: no worked examples in front
};

absl::StatusOr<std::unique_ptr<RunData>> LoadRunData(const RunConfig& config,
                                                     const WeightManifest& model);

// What the config asks of a model that its shape does not allow, named by its key.
absl::Status CheckShape(const RunConfig& config, const ModelConfig& shape);
// What would fail later, found now: problems without a worked solution where one is learned,
// sequences above training.max_tokens or the model's positions. One line that names the problem.
absl::Status CheckRunData(const RunConfig& config, const RunData& data, int64_t max_positions);

// Problems whose worked solutions stage `stage` of kind sft learns.
int64_t SftProblems(const SftSettings& sft, const RunData& data);

// The worked solution of a problem as a training sequence.
TrainingSequence WorkedSequence(const RunData& data, const Problem& problem);

// How many problems, the first ones, the sft stages in front of stage `stage` learned.
int64_t EarlierSftProblems(const RunConfig& config, int64_t stage, const RunData& data);

// Those that the sft stages in front of stage `stage` learned.
std::vector<TrainingSequence> EarlierSolutions(const RunConfig& config, int64_t stage,
                                               const RunData& data);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_RUN_DATA_H_
