#ifndef RECKON_LEARNER_RUN_INPUTS_H_
#define RECKON_LEARNER_RUN_INPUTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/checkpoint.pb.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// The files that a run learns from, by their contents. A resumed run reads stored completions under
// the problems of its data by index, and goes back to the model that it began with: with other
// files it would continue silently, and wrong. The leader's.

// Digests of data.train and data.eval, and of those of a mixture's sets, where they are files or
// folders, of model.path unless an init stage
// makes the model, and of reward models that are folders. `base`: the model's manifest, with
// digests of its weights.
absl::StatusOr<RunInputs> InputsOf(const RunConfig& config, const WeightManifest& base);

// Writes <run_dir>/inputs.json, or compares with it if there is one: FAILED_PRECONDITION, one line,
// if a file has changed since the run began. Files that the run did not have then are added. Which
// other path a setting may name, common/config/resume_rules.h says.
absl::Status KeepInputs(const std::string& run_dir, const RunInputs& inputs);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_INPUTS_H_
