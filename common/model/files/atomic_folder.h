#ifndef RECKON_COMMON_MODEL_FILES_ATOMIC_FOLDER_H_
#define RECKON_COMMON_MODEL_FILES_ATOMIC_FOLDER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace reckon {

struct FolderFile {
  std::string name;  // in the folder; one subfolder is made where it has a '/'
  std::vector<absl::Span<const char>> parts;
};

// Writes a folder atomically: into TemporaryPath of it (common/base/files.h), synced, then renamed.
// An existing folder is replaced in one step. Errors name the path.
absl::Status WriteFolderAtomically(const std::string& folder, const std::vector<FolderFile>& files);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_ATOMIC_FOLDER_H_
