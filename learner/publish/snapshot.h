#ifndef RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
#define RECKON_LEARNER_PUBLISH_SNAPSHOT_H_

#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "common/model/transformer.h"
#include "proto/weights.pb.h"

namespace reckon {

// Writes fp32 parameters as a Hugging Face model folder with the tensors, their order, config and
// tokenizer of `base`. Values are rounded to the type that the learner's matrix products use (BF16
// or F32), so that actors compute with the same numbers as the learner. INVALID_ARGUMENT names a
// tensor of `base` that is not among the parameters.
absl::Status WriteSnapshot(const std::string& folder, const WeightManifest& base, Dtype compute,
                           const NamedTensors& parameters);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
