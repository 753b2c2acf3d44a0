#ifndef RECKON_COMMON_INIT_INIT_MODEL_H_
#define RECKON_COMMON_INIT_INIT_MODEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/model_folder.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// Whether the run begins with a model from nothing.
bool HasInit(const RunConfig& config);

// Where version 0 lies: model.path, or what the init stage leaves in the run directory.
std::string BaseModelFolder(const RunConfig& config, const std::string& run_dir);

// What an init stage makes, without the weights: config, tensors, and a vocabulary of the training
// problems. A function of the config and the data. Errors are those of LoadProblems.
absl::StatusOr<WeightManifest> InitManifest(const RunConfig& config);

// The same with its weights.
absl::StatusOr<Weights> InitModel(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_INIT_INIT_MODEL_H_
