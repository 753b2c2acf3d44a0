#ifndef RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_
#define RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

struct ArrayFileInfo {
  uint64_t bytes = 0;
  std::string sha256;  // 32 bytes
};

// Writes arrays one after another and syncs the file.
absl::StatusOr<ArrayFileInfo> WriteArrayFile(const std::string& path,
                                             absl::Span<const absl::Span<const float>> arrays);

// Fills the arrays from the file. DATA_LOSS when its size or digest is another.
absl::Status ReadArrayFile(const std::string& path, absl::string_view sha256,
                           absl::Span<std::vector<float>* const> arrays);

// Makes a rename within `folder` last.
absl::Status SyncFolder(const std::string& folder);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_
