#ifndef RECKON_COMMON_MODEL_ADAPTERS_H_
#define RECKON_COMMON_MODEL_ADAPTERS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/model/kernels/interface.h"
#include "common/model/sharded_units.h"
#include "proto/weights.pb.h"

namespace reckon {

// The adapters of a model (Hu et al. 2021), each by the name of the tensor that it changes.
using ModelAdapters = std::map<std::string, Adapter>;

// Whether a tensor may have one: those of all linear layers but the head.
bool TakesAdapter(absl::string_view tensor);

// An adapter of a tensor [n, k] that changes nothing yet, to be trained. Its A depends on `key`.
Adapter NewAdapter(int64_t n, int64_t k, int64_t rank, double alpha, uint64_t key,
                   c10::Device device);

// A and B of each, by their PEFT names and in the order of the model's `tensors`: as they are
// trained, or A and scale * B, as a version has them.
NamedTensors TrainedAdapters(const ModelAdapters& adapters,
                             const std::vector<TensorEntry>& tensors);
NamedTensors ScaledAdapters(const ModelAdapters& adapters, const std::vector<TensorEntry>& tensors);

// The adapters of a version, one for each of the model's `tensors` that takes one. On the CPU they
// are views of `bytes`. Errors as those of FindTensors (manifest_tensors.h).
absl::StatusOr<ModelAdapters> ReadAdapters(const std::vector<TensorEntry>& tensors,
                                           const WeightManifest& manifest,
                                           absl::Span<const char> bytes, c10::Device device);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_ADAPTERS_H_
