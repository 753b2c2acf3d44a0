#include "common/model/files/side_files.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 64 << 20;
constexpr uint64_t kMaxTotalBytes = 128 << 20;
constexpr size_t kMaxFiles = 1000;
constexpr char kTemplates[] = "additional_chat_templates";

bool IsSideFile(const std::string& name) {
  // Of the manifest; of an adapter or a reward model, which the folder that is written is not; and
  // of a training that this is not the continuation of.
  for (const char* other : {"config.json", "tokenizer.json", "tokenizer_config.json",
                            "tokenizer.model", "generation_config.json", "adapter_config.json",
                            "reward_head.json", "trainer_state.json"}) {
    if (name == other) return false;
  }
  for (const char* ending : {".safetensors", ".index.json", ".bin", ".pt", ".pth", ".gguf", ".h5",
                             ".msgpack", ".onnx", ".ot", ".npz", ".ckpt", ".tmp"}) {
    if (absl::EndsWith(name, ending)) return false;
  }
  return name.front() != '.';
}

// Names relative to the folder, sorted.
std::set<std::string> ListSideFiles(const std::string& folder) {
  std::set<std::string> names;
  for (const std::string& within : {std::string(), std::string(kTemplates) + "/"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(absl::StrCat(folder, "/", within), error)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file(error) || !IsSideFile(name)) continue;
      if (names.size() < kMaxFiles) names.insert(within + name);
    }
  }
  return names;
}

}  // namespace

absl::Status ReadSideFiles(const std::string& folder, SideFiles* files,
                           std::vector<std::string>* notes) {
  uint64_t total = 0;
  for (const std::string& name : ListSideFiles(folder)) {
    const std::string path = absl::StrCat(folder, "/", name);
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error || size > kMaxFileBytes || total + size > kMaxTotalBytes) {
      notes->push_back(
          absl::StrCat(folder, ": left out ", Printable(name), ", which is too large"));
      continue;
    }
    ASSIGN_OR_RETURN((*files)[name], ReadFile(path, kMaxFileBytes));
    total += size;
  }
  return absl::OkStatus();
}

}  // namespace reckon
