#ifndef RECKON_COMMON_TASK_DATASET_DATA_FILES_H_
#define RECKON_COMMON_TASK_DATASET_DATA_FILES_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The files that the path of a data set names: the file itself, or of a folder all files directly
// in it whose extension is that of a format (FileFormats, and .jsonl), in the order of their names.
// Names that begin with a dot are left out. NOT_FOUND: there is nothing there. INVALID_ARGUMENT: a
// folder without such a file.
absl::StatusOr<std::vector<std::string>> DataFiles(const std::string& path);

// By which a run knows whether its data have changed: sha256(content) of a file; of a folder, of
// the names of its DataFiles and their digests. Errors are those of DataFiles and ReadFile.
absl::StatusOr<std::string> DataDigest(const std::string& path,
                                       absl::FunctionRef<std::string(absl::string_view)> sha256);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_DATA_FILES_H_
