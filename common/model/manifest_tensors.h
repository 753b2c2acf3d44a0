#ifndef RECKON_COMMON_MODEL_MANIFEST_TENSORS_H_
#define RECKON_COMMON_MODEL_MANIFEST_TENSORS_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/weights.pb.h"

namespace reckon {

// The tensors of a version, in the flat buffer `bytes` that its manifest describes. Both may come
// from another program.

// The `wanted` tensors, whose names and shapes are set, as the manifest has them, in their order.
// INVALID_ARGUMENT names a tensor that is missing, given twice, of another shape or of a type that
// is not read, that ends beyond the buffer or that, unless `others` may be there, is not wanted.
absl::StatusOr<std::vector<TensorEntry>> FindTensors(const std::vector<TensorEntry>& wanted,
                                                     const WeightManifest& manifest,
                                                     absl::Span<const char> bytes, bool others);

// What FindTensors has found, as BF16 or F32: a view of `bytes`, or a copy where those are not
// aligned or are F16.
at::Tensor ViewOf(const TensorEntry& entry, absl::Span<const char> bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_MANIFEST_TENSORS_H_
