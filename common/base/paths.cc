#include "common/base/paths.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace reckon {

absl::StatusOr<bool> PathExists(const std::string& path) {
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (!error) return exists;
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot look at ", path));
}

}  // namespace reckon
