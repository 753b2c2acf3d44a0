#include "common/model/files/model_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/machine_limits.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/files/safetensors.h"
#include "common/model/files/safetensors_file.h"
#include "common/model/files/shard_index.h"
#include "common/model/files/weight_bytes.h"
#include "common/text/json.h"
#include "google/protobuf/stubs/common.h"

namespace reckon {
namespace {

// Config and tokenizer files are sent inside the manifest, which is one message.
constexpr uint64_t kMaxTextBytes = 14 << 20;
// All shards are open at once.
constexpr size_t kMaxShards = 512;

bool ValidUtf8(absl::string_view text) {
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(), text.size());
}

absl::StatusOr<std::string> ReadText(const std::string& folder, const char* name, bool required) {
  std::string path = absl::StrCat(folder, "/", name);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxTextBytes);
  if (!text.ok()) {
    if (!required && absl::IsNotFound(text.status())) return std::string();
    return text.status();
  }
  if (!ValidUtf8(*text)) return absl::InvalidArgumentError(path + ": not valid UTF-8");
  return text;
}

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
      bool finite = tensor.dtype() == "F32" ? AllFinite<uint32_t>(data, size, 0x7F800000u)
                                            : AllFinite<uint16_t>(data, size, 0x7F80u);
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

absl::StatusOr<std::vector<SafetensorsFile>> OpenSingle(const std::string& path,
                                                        WeightManifest* manifest) {
  std::vector<SafetensorsFile> files;
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  for (const TensorEntry& tensor : file.header().tensors) *manifest->add_tensors() = tensor;
  manifest->set_total_bytes(file.header().data_bytes);
  files.push_back(std::move(file));
  return files;
}

// The tensors of all shards, in the order of the shards' names.
absl::StatusOr<std::vector<SafetensorsFile>> OpenShards(const std::string& folder,
                                                        const std::string& index,
                                                        WeightManifest* manifest) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(index, kMaxJsonBytes));
  ASSIGN_OR_RETURN(auto shard_of, ParseShardIndex(index, text));
  std::set<std::string> names;
  for (const auto& [tensor, name] : shard_of) names.insert(name);
  if (names.size() > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(index, ": weight_map: more than ", kMaxShards, " files"));
  }
  std::vector<SafetensorsFile> shards;
  uint64_t total = 0;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(SafetensorsFile shard, SafetensorsFile::Open(absl::StrCat(folder, "/", name)));
    for (TensorEntry tensor : shard.header().tensors) {
      auto it = shard_of.find(tensor.name());
      if (it == shard_of.end() || it->second != name) {
        return absl::InvalidArgumentError(
            absl::StrCat(shard.path(), ": tensor ", Printable(tensor.name()), " is ",
                         it == shard_of.end() ? "not" : "elsewhere", " in the index"));
      }
      shard_of.erase(it);
      tensor.set_offset(total + tensor.offset());
      *manifest->add_tensors() = std::move(tensor);
    }
    total += shard.header().data_bytes;
    shards.push_back(std::move(shard));
  }
  if (!shard_of.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(index, ": tensor ",
                                                   Printable(shard_of.begin()->first),
                                                   " is not in ", shard_of.begin()->second));
  }
  manifest->set_total_bytes(total);
  return shards;
}

absl::Status SyncPath(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path));
  return absl::OkStatus();
}

absl::Status WriteParts(const std::string& path, const std::vector<absl::Span<const char>>& parts) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  for (absl::Span<const char> part : parts) {
    while (!part.empty()) {
      ssize_t n = ::write(fd, part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
      part.remove_prefix(n);
    }
  }
  if (::fsync(fd) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTokenizerModel(const std::string& folder) {
  absl::StatusOr<std::string> bytes = ReadFile(folder + "/tokenizer.model", kMaxTextBytes);
  return absl::IsNotFound(bytes.status()) ? std::string() : bytes;
}

// transformers 5 moved the chat template into a file of its own; this puts it back.
absl::StatusOr<std::string> ReadTokenizerConfig(const std::string& folder) {
  ASSIGN_OR_RETURN(std::string text, ReadText(folder, "tokenizer_config.json", false));
  ASSIGN_OR_RETURN(const std::string chat, ReadText(folder, "chat_template.jinja", false));
  if (chat.empty()) return text;
  ASSIGN_OR_RETURN(nlohmann::json config, ParseJson(text.empty() ? "{}" : text));
  if (!config.is_object() || FindField(config, "chat_template") != nullptr) return text;
  config["chat_template"] = chat;
  return config.dump();
}

// A model folder with everything read but the weights.
struct OpenFolder {
  WeightManifest manifest;  // without digests
  std::string path;         // the safetensors file or the index, for messages
  std::vector<SafetensorsFile> files;
};

absl::StatusOr<OpenFolder> OpenModelFolder(const std::string& folder) {
  OpenFolder out;
  WeightManifest& manifest = out.manifest;
  if (!std::filesystem::is_directory(folder)) {
    return absl::NotFoundError(absl::StrCat("model folder ", folder, " does not exist"));
  }
  ASSIGN_OR_RETURN(*manifest.mutable_config_json(), ReadText(folder, "config.json", true));
  ASSIGN_OR_RETURN(*manifest.mutable_tokenizer_model(), ReadTokenizerModel(folder));
  ASSIGN_OR_RETURN(*manifest.mutable_tokenizer_json(),
                   ReadText(folder, "tokenizer.json", manifest.tokenizer_model().empty()));
  ASSIGN_OR_RETURN(*manifest.mutable_tokenizer_config_json(), ReadTokenizerConfig(folder));
  if (manifest.ByteSizeLong() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, ": config and tokenizer files take ", manifest.ByteSizeLong(),
                     " bytes together; the limit is ", kMaxTextBytes));
  }
  out.path = folder + "/model.safetensors";
  if (!std::filesystem::exists(out.path) && std::filesystem::exists(out.path + ".index.json")) {
    out.path += ".index.json";
    ASSIGN_OR_RETURN(out.files, OpenShards(folder, out.path, &manifest));
  } else {
    ASSIGN_OR_RETURN(out.files, OpenSingle(out.path, &manifest));
  }
  return out;
}

}  // namespace

absl::StatusOr<WeightManifest> ReadModelManifest(const std::string& folder) {
  ASSIGN_OR_RETURN(OpenFolder open, OpenModelFolder(folder));
  return std::move(open.manifest);
}

absl::StatusOr<Weights> ReadModelFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(OpenFolder open, OpenModelFolder(folder));
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> bytes,
                   WeightBytes::OfSize(open.manifest.total_bytes()));
  char* to = bytes->data();
  for (const SafetensorsFile& file : open.files) {
    RETURN_IF_ERROR(file.ReadData(to));
    to += file.header().data_bytes;
  }
  if (absl::Status finite = CheckFinite(open.manifest, bytes->bytes()); !finite.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(open.path, ": ", finite.message()));
  }
  Digest(bytes->bytes(), &open.manifest);
  return Weights{std::move(open.manifest), std::move(bytes)};
}

absl::Status WriteModelFolder(const std::string& folder, const WeightManifest& manifest,
                              absl::Span<const char> bytes) {
  if (bytes.size() != manifest.total_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": the manifest describes ",
                                                   manifest.total_bytes(),
                                                   " bytes but the buffer has ", bytes.size()));
  }
  std::filesystem::path target = std::filesystem::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "a/b/" is "a/b"
  std::string temporary = absl::StrCat(target.string(), ".tmp.", ::getpid());
  std::error_code ignored;
  std::filesystem::remove_all(temporary, ignored);
  RETURN_IF_ERROR(MakeFolders(temporary));
  absl::Cleanup remove_temporary = [&] { std::filesystem::remove_all(temporary, ignored); };

  std::string header = FormatSafetensorsHeader(manifest);
  RETURN_IF_ERROR(WriteParts(temporary + "/model.safetensors", {header, bytes}));
  const std::pair<const char*, const std::string*> texts[] = {
      {"config.json", &manifest.config_json()},
      {"tokenizer.json", &manifest.tokenizer_json()},
      {"tokenizer_config.json", &manifest.tokenizer_config_json()},
      {"tokenizer.model", &manifest.tokenizer_model()}};
  for (const auto& [name, text] : texts) {
    if (!text->empty()) RETURN_IF_ERROR(WriteParts(absl::StrCat(temporary, "/", name), {*text}));
  }
  RETURN_IF_ERROR(SyncPath(temporary));

  // An existing folder is exchanged in one step; the cleanup then deletes it.
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename to ", target.string()));
    }
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot replace ", target.string()));
    }
  }
  return SyncPath(target.parent_path().string());
}

}  // namespace reckon
