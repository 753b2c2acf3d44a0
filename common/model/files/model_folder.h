#ifndef RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_
#define RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/files/weight_bytes.h"
#include "proto/weights.pb.h"

namespace reckon {

// A weight version in memory.
struct Weights {
  WeightManifest manifest;             // whoever publishes it sets version and sources
  std::shared_ptr<WeightBytes> bytes;  // manifest.total_bytes of them
};

// A model folder as Hugging Face's transformers reads and writes it:
//   config.json                  shape and family (common/model/config.h)
//   tokenizer.json               or tokenizer.model (SentencePiece); with both, both are kept
//   tokenizer_config.json        optional; a chat_template.jinja is merged into it
//   model.safetensors            the weights, or model.safetensors.index.json and its shards
// The files may come from anyone. Errors name the file and the field:
//   NOT_FOUND           the folder or one of its files
//   INVALID_ARGUMENT    a malformed file, a tensor of another type than BF16 and F32, a NaN
//   RESOURCE_EXHAUSTED  no memory for the weights
//   DATA_LOSS           a file became shorter while it was read

// Reads everything. All headers are checked before memory for the weights is allocated. Digests are
// computed on all cores.
absl::StatusOr<Weights> ReadModelFolder(const std::string& folder);

// Reads everything but the weights: a manifest without digests.
absl::StatusOr<WeightManifest> ReadModelManifest(const std::string& folder);

// Writes a folder atomically: into a temporary folder next to it, synced, then renamed. An existing
// folder is replaced. The weights become one model.safetensors in manifest order.
absl::Status WriteModelFolder(const std::string& folder, const WeightManifest& manifest,
                              absl::Span<const char> bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_
