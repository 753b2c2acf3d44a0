#ifndef RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_
#define RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/files/side_files.h"
#include "common/model/files/weight_bytes.h"
#include "proto/weights.pb.h"

namespace reckon {

// A weight version in memory.
struct Weights {
  WeightManifest manifest;              // whoever publishes it sets version and sources
  std::shared_ptr<WeightBytes> bytes;   // manifest.total_bytes of them
  SideFiles side_files = {};            // of the folder that it was read from; never sent
  std::vector<std::string> notes = {};  // what of that folder was left out or renamed, a line each
  // Memory with what passes read of it, mapped or for others to map (TransformerWeights::Adopt);
  // null: there is none. With what was mapped, `bytes` was not checked.
  std::shared_ptr<WeightBytes> packed = nullptr;
  // Of adapters (manifest.base_version): the whole weights that they are over.
  std::shared_ptr<const Weights> base = nullptr;

  // The model's config and tokenizer.
  const FolderTexts& texts() const { return (base != nullptr ? base->manifest : manifest).texts(); }
};

// A model folder as Hugging Face's transformers reads and writes it:
//   config.json                  shape and family (common/model/config.h)
//   generation_config.json       optional; of it the end tokens are used
//   tokenizer.json               or tokenizer.model (SentencePiece); with both, both are kept
//   tokenizer_config.json        optional; with what other files say (model_texts.h)
//   model.safetensors            the weights, or model.safetensors.index.json and its shards
//   others                       carried along (side_files.h)
// or an adapter folder of PEFT (adapter.h), which is read as its base model with the adapter
// merged.
//
// The files may come from anyone. Tensors are checked against config.json from the headers alone
// (checkpoint_fit.h). Errors name the file and the field or tensor:
//   NOT_FOUND            the folder or one of its files
//   INVALID_ARGUMENT     a malformed file, a tensor that does not fit, a NaN
//   UNIMPLEMENTED        a family or an option that Reckon does not have
//   FAILED_PRECONDITION  an adapter without its base, weights in another format
//   RESOURCE_EXHAUSTED   no memory for the weights
//   DATA_LOSS            a file became shorter while it was read

// Reads everything. All headers are checked before memory for the weights is allocated. Digests are
// computed on all cores. `base`: of an adapter folder, the folder of its base model; empty: what
// its adapter_config.json names.
absl::StatusOr<Weights> ReadModelFolder(const std::string& folder, const std::string& base = "");

// Everything but the weights, checked as above: what to look at before anything is started.
struct ModelListing {
  WeightManifest manifest;         // without digests
  std::vector<std::string> notes;  // what was left out or renamed, a line each
};
absl::StatusOr<ModelListing> ReadModelListing(const std::string& folder,
                                              const std::string& base = "");

// Writes a folder atomically (atomic_folder.h). The weights become one model.safetensors in
// manifest order. A side file replaces the manifest's text of the same name; an empty one is not
// written.
absl::Status WriteModelFolder(const std::string& folder, const WeightManifest& manifest,
                              absl::Span<const char> bytes, const SideFiles& side_files = {});

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_MODEL_FOLDER_H_
