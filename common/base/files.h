#ifndef RECKON_COMMON_BASE_FILES_H_
#define RECKON_COMMON_BASE_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Reading and writing whole files. Every error names the path.

// Returns the content of a regular file. NOT_FOUND: there is no such file. INVALID_ARGUMENT: it is
// larger than max_bytes, or not a regular file.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = 1ull << 30);

// The name under which this process writes a file or folder until it is complete and renamed to
// `path`: in the same folder, because a rename is atomic only within a file system.
std::string TemporaryPath(const std::string& path);
// Deletes what has such a name in a folder or below it: what writers that were killed have left.
// What cannot be deleted costs space and nothing else. For who alone writes there.
void DeleteTemporaries(const std::string& folder);

// Replaces the content of a file. Readers see the old or the new content and never a mixture, also
// after a crash: it writes to TemporaryPath, syncs that and renames it.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

// Creates a folder and its parents. OK when it exists already.
absl::Status MakeFolders(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_FILES_H_
