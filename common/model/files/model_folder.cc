#include "common/model/files/model_folder.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/machine_limits.h"
#include "common/base/paths.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"
#include "common/model/files/adapter.h"
#include "common/model/files/atomic_folder.h"
#include "common/model/files/checkpoint_files.h"
#include "common/model/files/checkpoint_fit.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_texts.h"
#include "common/model/files/safetensors.h"

namespace reckon {
namespace {

constexpr uint64_t kCompared = 1 << 20;  // bytes at once

template <typename Word>
bool AllFinite(const char* data, size_t bytes, Word exponent) {
  bool finite = true;
  for (size_t i = 0; i < bytes; i += sizeof(Word)) {  // an early exit would prevent vectorisation
    Word word;
    std::memcpy(&word, data + i, sizeof(Word));
    finite &= (word & exponent) != exponent;
  }
  return finite;
}

// One NaN or infinity makes every output of the model NaN; only here can the error name its tensor.
absl::Status CheckFinite(const WeightManifest& manifest, absl::Span<const char> bytes) {
  std::atomic<int> next = 0, bad = -1;
  auto work = [&] {
    for (int i = next++; i < manifest.tensors_size(); i = next++) {
      const TensorEntry& tensor = manifest.tensors(i);
      size_t end =
          i + 1 < manifest.tensors_size() ? manifest.tensors(i + 1).offset() : bytes.size();
      const char* data = bytes.data() + tensor.offset();
      size_t size = end - tensor.offset();
      bool finite = tensor.dtype() == "F32"    ? AllFinite<uint32_t>(data, size, 0x7F800000u)
                    : tensor.dtype() == "BF16" ? AllFinite<uint16_t>(data, size, 0x7F80u)
                                               : AllFinite<uint16_t>(data, size, 0x7C00u);
      if (!finite) bad = i;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < static_cast<unsigned>(UsableCores()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (bad < 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Printable(manifest.tensors(bad).name()),
                                                 " holds a NaN or an infinity"));
}

// A model folder of which everything but the weights has been read.
struct OpenModel {
  WeightManifest manifest;  // without digests
  SideFiles side_files;
  CheckpointFiles checkpoint;
  CheckpointFit fit;
  std::optional<AdapterFolder> adapter;
};

// What to do about `folder`, which does not exist, if it may be a name on the Hugging Face hub:
// OWNER/NAME, seen from the working folder. Commands make paths absolute before they read them.
std::string HubHint(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path name = std::filesystem::proximate(folder, error);
  const std::filesystem::path owner = name.parent_path();
  if (error || owner.empty() || owner.has_parent_path() || owner == ".." ||
      std::filesystem::exists(owner, error)) {
    return "";
  }
  return absl::StrCat("; Reckon downloads nothing: `hf download ", Printable(name.string()),
                      " --local-dir DIR` fetches a model of the Hugging Face hub");
}

absl::StatusOr<OpenModel> OpenBase(const std::string& folder) {
  OpenModel out;
  WeightManifest& manifest = out.manifest;
  RETURN_IF_ERROR(PathExists(folder).status());
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(
        absl::StrCat("model folder ", folder, " does not exist", HubHint(folder)));
  }
  if (!std::filesystem::exists(folder + "/config.json", error) &&
      std::filesystem::exists(folder + "/config.textproto", error)) {
    return absl::NotFoundError(absl::StrCat(folder,
                                            " is a run directory, not a model folder; give ",
                                            folder, "/best or a folder of its weights/"));
  }
  RETURN_IF_ERROR(ReadModelTexts(folder, manifest.mutable_texts()));
  RETURN_IF_ERROR(ReadTokenizerTexts(folder, manifest.mutable_texts(), &out.side_files));
  const absl::StatusOr<ModelConfig> config = ModelConfig::Parse(manifest.texts().config_json());
  if (!config.ok()) {
    return absl::Status(config.status().code(),
                        absl::StrCat(folder, "/", config.status().message()));
  }
  ASSIGN_OR_RETURN(out.checkpoint, OpenCheckpoint(folder));
  ASSIGN_OR_RETURN(out.fit, FitCheckpoint(*config, out.checkpoint.files, out.checkpoint.listing));
  for (const CheckpointFit::Source& source : out.fit.tensors) {
    *manifest.add_tensors() = source.tensor;
  }
  RETURN_IF_ERROR(LayOut(&manifest));
  return out;
}

absl::StatusOr<OpenModel> OpenModelFolder(const std::string& folder, const std::string& base) {
  if (!AdapterFolder::Is(folder)) {
    ASSIGN_OR_RETURN(OpenModel out, OpenBase(folder));
    if (!base.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(folder, ": a model, not an adapter of PEFT; leave out its base ", base));
    }
    RETURN_IF_ERROR(ReadSideFiles(folder, &out.side_files, &out.fit.notes));
    return out;
  }
  ASSIGN_OR_RETURN(AdapterFolder adapter, AdapterFolder::Open(folder));
  ASSIGN_OR_RETURN(const std::string base_folder, adapter.BaseFolder(base));
  ASSIGN_OR_RETURN(OpenModel out, OpenBase(base_folder));
  RETURN_IF_ERROR(adapter.Fit(out.manifest));
  // A tokenizer that was saved with the adapter is the one it was trained with.
  RETURN_IF_ERROR(ReadSideFiles(base_folder, &out.side_files, &out.fit.notes));
  if (HasTokenizer(folder)) {
    RemoveTokenizerFiles(&out.side_files);
    RETURN_IF_ERROR(ReadTokenizerTexts(folder, out.manifest.mutable_texts(), &out.side_files));
    RETURN_IF_ERROR(ReadSideFiles(folder, &out.side_files, &out.fit.notes));
  }
  out.fit.notes.push_back(absl::StrCat(folder, ": merged into ", base_folder));
  out.adapter.emplace(std::move(adapter));
  return out;
}

absl::Status ReadWeights(const OpenModel& model, char* to) {
  for (int i = 0; i < model.manifest.tensors_size(); ++i) {
    const CheckpointFit::Source& source = model.fit.tensors[i];
    ASSIGN_OR_RETURN(const uint64_t size, TensorBytes(source.tensor));
    RETURN_IF_ERROR(model.checkpoint.files[source.file].ReadData(
        source.tensor.offset(), size, to + model.manifest.tensors(i).offset()));
  }
  return absl::OkStatus();
}

// A stored head that is not the embedding would be lost, with a model that answers nonsense.
absl::Status CheckTiedHead(const OpenModel& model, absl::Span<const char> bytes) {
  if (!model.fit.tied_head.has_value()) return absl::OkStatus();
  const auto& [index, head] = *model.fit.tied_head;
  const SafetensorsFile& file = model.checkpoint.files[index];
  absl::Status differs = absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": tensor ", head.name(),
                   " is not the embedding, to which config.json ties it; ",
                   "set tie_word_embeddings to false there"));
  for (const TensorEntry& tensor : model.manifest.tensors()) {
    if (tensor.name() != "model.embed_tokens.weight") continue;
    if (tensor.dtype() != head.dtype()) return differs;
    ASSIGN_OR_RETURN(const uint64_t size, TensorBytes(head));
    std::string part;
    for (uint64_t at = 0; at < size; at += part.size()) {
      part.resize(std::min(kCompared, size - at));
      RETURN_IF_ERROR(file.ReadData(head.offset() + at, part.size(), part.data()));
      if (std::memcmp(part.data(), bytes.data() + tensor.offset() + at, part.size()) != 0) {
        return differs;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelListing> ReadModelListing(const std::string& folder, const std::string& base) {
  ASSIGN_OR_RETURN(OpenModel open, OpenModelFolder(folder, base));
  return ModelListing{std::move(open.manifest), std::move(open.fit.notes)};
}

absl::StatusOr<Weights> ReadModelFolder(const std::string& folder, const std::string& base) {
  ASSIGN_OR_RETURN(OpenModel open, OpenModelFolder(folder, base));
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> bytes,
                   WeightBytes::OfSize(open.manifest.total_bytes()));
  RETURN_IF_ERROR(ReadWeights(open, bytes->data()));
  if (absl::Status finite = CheckFinite(open.manifest, bytes->bytes()); !finite.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(open.checkpoint.listing, ": ", finite.message()));
  }
  RETURN_IF_ERROR(CheckTiedHead(open, bytes->bytes()));
  if (open.adapter.has_value()) {
    RETURN_IF_ERROR(open.adapter->MergeInto(open.manifest, bytes->data()));
  }
  Digest(bytes->bytes(), &open.manifest);
  return Weights{std::move(open.manifest), std::move(bytes), std::move(open.side_files),
                 std::move(open.fit.notes)};
}

absl::Status WriteModelFolder(const std::string& folder, const WeightManifest& manifest,
                              absl::Span<const char> bytes, const SideFiles& side_files) {
  if (bytes.size() != manifest.total_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": the manifest describes ",
                                                   manifest.total_bytes(),
                                                   " bytes but the buffer has ", bytes.size()));
  }
  std::map<std::string, const std::string*> texts = {
      {"config.json", &manifest.texts().config_json()},
      {"generation_config.json", &manifest.texts().generation_config_json()},
      {"tokenizer.json", &manifest.texts().tokenizer_json()},
      {"tokenizer_config.json", &manifest.texts().tokenizer_config_json()},
      {"tokenizer.model", &manifest.texts().tokenizer_model()}};
  for (const auto& [name, content] : side_files) texts[name] = &content;
  const std::string header = FormatSafetensorsHeader(manifest);
  std::vector<FolderFile> files = {{"model.safetensors", {header, bytes}}};
  for (const auto& [name, text] : texts) {
    if (!text->empty()) files.push_back({name, {*text}});
  }
  return WriteFolderAtomically(folder, files);
}

}  // namespace reckon
