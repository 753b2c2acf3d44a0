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

// What every run needs: evaluation problems whose prompts fit, adapters below the model's width.
absl::Status CheckRunData(const RunConfig& config, const RunData& data, const ModelConfig& model);

// prompt tokens + new_tokens <= limit for every problem. `key` and `limit_name` are for the error.
absl::Status CheckPromptsFit(const std::vector<Problem>& problems, const PromptFormatter& formatter,
                             int64_t new_tokens, const std::string& key, int64_t limit,
                             const std::string& limit_name);
// The same for the training problems under the two limits of a stage: training.max_tokens for the
// prompt that is trained on, the model's positions for the one that is sampled from.
absl::Status CheckTrainPromptsFit(const RunData& data, const PromptFormatter& trained,
                                  const PromptFormatter& sampled, int64_t new_tokens,
                                  const std::string& key, const TrainingSettings& training,
                                  const ModelConfig& model);

// A STEP_MATCH reward compares with the steps of a worked solution: every problem has some.
absl::Status CheckStepRewards(const google::protobuf::RepeatedPtrField<RewardSpec>& rewards,
                              const std::vector<Problem>& problems);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_CHECKS_H_
