#include "common/model/files/checkpoint_files.h"

#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/files/shard_index.h"
#include "common/text/json.h"

namespace reckon {
namespace {

// All shards are open at once.
constexpr size_t kMaxShards = 512;

absl::StatusOr<std::vector<SafetensorsFile>> OpenShards(const std::string& folder,
                                                        const std::string& index) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(index, kMaxJsonBytes));
  ASSIGN_OR_RETURN(auto shard_of, ParseShardIndex(index, text));
  std::set<std::string> names;
  for (const auto& [tensor, name] : shard_of) names.insert(name);
  if (names.size() > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(index, ": weight_map: more than ", kMaxShards, " files"));
  }
  std::vector<SafetensorsFile> shards;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(SafetensorsFile shard, SafetensorsFile::Open(absl::StrCat(folder, "/", name)));
    for (const TensorEntry& tensor : shard.header().tensors) {
      auto it = shard_of.find(tensor.name());
      if (it == shard_of.end() || it->second != name) {
        return absl::InvalidArgumentError(
            absl::StrCat(shard.path(), ": tensor ", Printable(tensor.name()), " is ",
                         it == shard_of.end() ? "not" : "elsewhere", " in the index"));
      }
      shard_of.erase(it);
    }
    shards.push_back(std::move(shard));
  }
  if (!shard_of.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(index, ": tensor ",
                                                   Printable(shard_of.begin()->first),
                                                   " is not in ", shard_of.begin()->second));
  }
  return shards;
}

// A folder whose weights are in another format is a common mistake with one remedy.
absl::Status CheckFormat(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* ending : {".bin", ".pth", ".pt", ".gguf"}) {
      if (!absl::EndsWith(name, ending) || name == "training_args.bin") continue;
      return absl::FailedPreconditionError(absl::StrCat(
          folder, ": has ", Printable(name), " but no model.safetensors; only safetensors are ",
          "read: load the model with transformers and save_pretrained it"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckpointFiles> OpenCheckpoint(const std::string& folder) {
  CheckpointFiles out;
  out.listing = folder + "/model.safetensors";
  std::error_code error;
  if (!std::filesystem::exists(out.listing, error)) {
    if (std::filesystem::exists(out.listing + ".index.json", error)) {
      out.listing += ".index.json";
      ASSIGN_OR_RETURN(out.files, OpenShards(folder, out.listing));
      return out;
    }
    RETURN_IF_ERROR(CheckFormat(folder));
  }
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(out.listing));
  out.files.push_back(std::move(file));
  return out;
}

}  // namespace reckon
