#ifndef RECKON_CLI_MODEL_FACTS_H_
#define RECKON_CLI_MODEL_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/weights/model_config.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// A model, without its weights.
struct ModelFacts {
  ModelConfig shape;
  uint64_t weight_bytes = 0;  // of its folder
};

// Of model.path or of what the init stage will make. NOT_FOUND: the folder or one of its files is
// not there.
absl::StatusOr<ModelFacts> InspectModel(const RunConfig& config);
// From model.path's config.json alone, as recipes/models/ has them; weights taken as bf16.
absl::StatusOr<ModelFacts> InspectShape(const RunConfig& config);

// A reward model from a folder has to be of this policy. Errors begin with `key`.
absl::Status CheckRewardModel(const std::string& key, const std::string& folder,
                              const WeightManifest& policy);

// How many problems the data has, all lines read. NOT_FOUND: a file is not there.
struct DataFacts {
  int64_t train = 0, eval = 0;
};
absl::StatusOr<DataFacts> InspectData(const RunConfig& config);
// For a plan without the files: what the published files that the paths are named after hold. None:
// they are named after no file that is known.
std::optional<DataFacts> PublishedSizes(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_CLI_MODEL_FACTS_H_
