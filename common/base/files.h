#ifndef RECKON_COMMON_BASE_FILES_H_
#define RECKON_COMMON_BASE_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The whole file. NOT_FOUND, or INVALID_ARGUMENT when it is larger than max_bytes; messages name
// the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = 1ull << 30);

// Writes to a temporary file beside `path`, syncs it, and renames: readers see the old content or
// the new, and after a crash one of both.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

// Makes a folder and those above it. OK when it is there.
absl::Status MakeFolders(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_FILES_H_
