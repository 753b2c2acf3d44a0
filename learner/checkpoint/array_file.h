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

// Files of fp32 arrays, one after another, little endian, without a header.

struct ArrayFileInfo {
  uint64_t bytes = 0;
  std::string sha256;  // 32 bytes
};

// Writes and syncs the file. Errors name it.
absl::StatusOr<ArrayFileInfo> WriteArrayFile(const std::string& path,
                                             absl::Span<const absl::Span<const float>> arrays);

// Fills the arrays, whose sizes the caller knows. DATA_LOSS when the file is missing, or has
// another size or digest.
absl::Status ReadArrayFile(const std::string& path, absl::string_view sha256,
                           absl::Span<std::vector<float>* const> arrays);

// Makes a rename inside `folder` survive a crash of the machine.
absl::Status SyncFolder(const std::string& folder);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_
