#ifndef RECKON_COMMON_WEIGHTS_MODEL_FOLDER_H_
#define RECKON_COMMON_WEIGHTS_MODEL_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/weights.pb.h"

namespace reckon {

// Something that holds the bytes of one weight version. Thread-safe once made.
class WeightBytes {
 public:
  virtual ~WeightBytes() = default;
  virtual absl::Span<const char> bytes() const = 0;  // manifest.total_bytes of them
};

struct Weights {
  WeightManifest manifest;             // version and sources are the caller's to set
  std::shared_ptr<WeightBytes> bytes;  // flat buffer in manifest order
};

// Reads a Hugging Face folder (config.json, model.safetensors, tokenizer.json,
// tokenizer_config.json, tokenizer.model), with the weights in one file or in several
// (model.safetensors.index.json). Every header is checked before memory is taken for the data,
// which is then read into its place. Digests are computed over all cores. Errors name file and
// field.
absl::StatusOr<Weights> ReadModelFolder(const std::string& folder);

// The same without reading the weights: no digests.
absl::StatusOr<WeightManifest> ReadModelManifest(const std::string& folder);

// Writes such a folder atomically (a temporary folder, synced, renamed): safetensors in manifest
// order plus config and tokenizer.
absl::Status WriteModelFolder(const std::string& folder, const WeightManifest& manifest,
                              absl::Span<const char> bytes);

// Lays out `entries` (names, dtypes, shapes) one after another and fills offsets and total_bytes.
// INVALID_ARGUMENT names the tensor with an unknown dtype, a negative or overflowing shape.
absl::Status LayOut(WeightManifest* manifest);
// Fills chunk_bytes and chunk_sha256 from the bytes.
void Digest(absl::Span<const char> bytes, WeightManifest* manifest);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_MODEL_FOLDER_H_
