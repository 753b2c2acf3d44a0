#ifndef RECKON_COMMON_MODEL_INIT_RANDOM_MODEL_H_
#define RECKON_COMMON_MODEL_INIT_RANDOM_MODEL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/model/config.h"
#include "common/model/files/model_folder.h"
#include "proto/weights.pb.h"

namespace reckon {

// The manifest of a new model of this shape, a plain Llama: config.json and the tensors in BF16,
// laid out, without tokenizer and digests. Its special tokens are those of new_tokenizer.h.
WeightManifest RandomModelManifest(const ModelConfig& config);

// Draws the tensors of `manifest` (BF16) and fills in the digests. Every number is a function of
// (seed, tensor name, index). Uniform distributions: matrices with variance 1 / inputs (LeCun et
// al. 1998), norms around one, embedding and head small, so that the first policy is nearly uniform
// over tokens. RESOURCE_EXHAUSTED: no memory for the weights.
absl::StatusOr<Weights> DrawWeights(WeightManifest manifest, uint64_t seed);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_INIT_RANDOM_MODEL_H_
