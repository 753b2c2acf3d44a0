#ifndef RECKON_COMMON_MODEL_INIT_INIT_MODEL_H_
#define RECKON_COMMON_MODEL_INIT_INIT_MODEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/model/files/model_folder.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// Whether the run starts with an init stage, which makes a new model instead of loading model.path.
bool HasInit(const RunConfig& config);

// The folder of weight version 0: model.path, or the one that the init stage writes in the run
// directory.
std::string BaseModelFolder(const RunConfig& config, const std::string& run_dir);

// The manifest of the init stage's model, without weights: shape, tensors, and a tokenizer trained
// on the questions and solutions of the training problems. A function of config and data. Errors
// are those of LoadDataset.
absl::StatusOr<WeightManifest> InitManifest(const RunConfig& config);

// The same with weights, drawn from the run's seed (random_model.h).
absl::StatusOr<Weights> InitModel(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_INIT_INIT_MODEL_H_
