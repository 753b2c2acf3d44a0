#ifndef RECKON_CLI_COMMANDS_MODEL_FACTS_H_
#define RECKON_CLI_COMMANDS_MODEL_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/estimate/model_size.h"
#include "common/task/dataset/problem.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// What the command line checks before it starts processes, and needs for estimates: facts of the
// model and the data of a config. Reads no weights.

struct ModelFacts : ModelSize {
  std::vector<std::string> notes;  // what of the folder is left out or renamed, a line each
};

// The model of model.path, or the one that the init stage will create. Checks as well that labels
// (text option TOKEN) are one token, that reward models in folders fit the policy, and the
// names, shapes and types of all tensors. NOT_FOUND: the folder or one of its files does not exist.
absl::StatusOr<ModelFacts> InspectModel(const RunConfig& config);
// Reads only the config.json of model.path, as in recipes/models/; weights are counted as bf16.
absl::StatusOr<ModelFacts> InspectShape(const RunConfig& config);

// Checks that `folder` holds a reward model with the tokenizer of `policy`. Errors begin with
// `key`.
absl::Status CheckRewardModel(const std::string& key, const std::string& folder,
                              const FolderTexts& policy);

struct DataFacts {
  int64_t train = 0, eval = 0;                         // problems used
  std::vector<Problem> train_problems, eval_problems;  // they, if they were read
  std::vector<std::string> notes;                      // of both splits (Dataset::notes)
};
// Reads and checks all problems. NOT_FOUND: a file does not exist.
absl::StatusOr<DataFacts> InspectData(const RunConfig& config);
// Encodes the problems of InspectData, so that what cannot be asked ends the command before a run
// directory is made; the learner, which is another process and may be on another machine, reads and
// encodes them again. Problems that do not fit into the model's positions with max_new_tokens of
// the evaluations and the stages are refused, so that no run directory is made for them, or with
// data.overlong_problems: COUNT_WRONG named in what it returns, a line each. The learner's rule
// (learner/data/checks.h) is the same and knows few-shot rounds as well; of a model that an init
// stage makes it alone can tell.
absl::StatusOr<std::vector<std::string>> CheckPromptsFit(const RunConfig& config,
                                                         const DataFacts& data);
// The sizes of the published files of GSM8K and SVAMP, when the paths of the config end in their
// names; nothing otherwise. For estimates when the files do not exist here.
std::optional<DataFacts> PublishedSizes(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_MODEL_FACTS_H_
