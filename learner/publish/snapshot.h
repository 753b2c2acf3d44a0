#ifndef RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
#define RECKON_LEARNER_PUBLISH_SNAPSHOT_H_

#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "common/model/transformer.h"
#include "proto/weights.pb.h"

namespace reckon {

// Writes fp32 parameters as a Hugging Face folder with the tensors, order, config and tokenizer of
// `base`, in the type that the learner computes in, so that actors compute with the same numbers.
// INVALID_ARGUMENT when a tensor of `base` is no parameter.
absl::Status WriteSnapshot(const std::string& folder, const WeightManifest& base, Compute compute,
                           const NamedTensors& parameters);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
