#include "common/task/dataset/data_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/task/dataset/record_reader.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxDigestedBytes = uint64_t{16} << 30;

bool HasKnownExtension(const std::string& name) {
  const auto extensions = DataExtensions();
  return std::any_of(extensions.begin(), extensions.end(), [&](absl::string_view extension) {
    return absl::EndsWithIgnoreCase(name, extension);
  });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DataFiles(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
  }
  if (!fs::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name[0] != '.' && HasKnownExtension(name) && entry->is_regular_file(ignored)) {
      files.push_back(entry->path().string());
    }
  }
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("cannot list ", path, ": ", error.message()));
  }
  if (files.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the folder ", path, " has no file that ends in ", absl::StrJoin(DataExtensions(), ", ")));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<std::string> DataDigest(const std::string& path,
                                       absl::FunctionRef<std::string(absl::string_view)> sha256) {
  ASSIGN_OR_RETURN(const std::vector<std::string> files, DataFiles(path));
  std::string all;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const std::string content, ReadFile(file, kMaxDigestedBytes));
    if (file == path) return sha256(content);
    const std::string name = fs::path(file).filename().string();
    const std::string digest = sha256(content);
    absl::StrAppend(&all, name.size(), "\n", name, digest.size(), "\n", digest);
  }
  return sha256(all);
}

}  // namespace reckon
