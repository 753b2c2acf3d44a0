#ifndef RECKON_LEARNER_DATA_CHECKS_H_
#define RECKON_LEARNER_DATA_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/config.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/data/run_data.h"
#include "proto/config.pb.h"

namespace reckon {

// What Algorithm::Check and the Learner ask of data and model before a run samples. Each error is
// INVALID_ARGUMENT and one line that names the problem by file and line, or the setting.

// What every run needs: problems, adapters below the model's width.
absl::Status CheckRunData(const RunConfig& config, const RunData& data, const ModelConfig& model);

// data.overlong_problems: refuses problems that do not fit into the model's positions with what the
// stages, or the evaluations, do with them; or takes them out of `data` and counts them there. A
// training problem has to fit for every stage, so that all stages count the same problems.
absl::Status ApplyOverlongRule(const RunConfig& config, const ModelConfig& model, RunData* data);

// Prompt tokens + new_tokens <= training.max_tokens for every training problem, whose prompts
// `formatter` makes. `key` is for the error.
absl::Status CheckSequencesFit(const RunData& data, const PromptFormatter& formatter,
                               int64_t new_tokens, const std::string& key,
                               const TrainingSettings& training);

// A STEP_MATCH reward compares with the steps of a worked solution: every problem has some.
absl::Status CheckStepRewards(const google::protobuf::RepeatedPtrField<RewardSpec>& rewards,
                              const std::vector<Problem>& problems);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_CHECKS_H_
