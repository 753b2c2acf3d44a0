#ifndef RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_
#define RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// Files of one fp32 array, little endian, without a header.

struct ArrayFileInfo {
  uint64_t bytes = 0;
  std::string sha256;  // 32 bytes
};

// Writes and syncs the file. Errors name it.
absl::StatusOr<ArrayFileInfo> WriteArrayFile(const std::string& path,
                                             absl::Span<const float> array);

// DATA_LOSS when the file is missing, or has another size or digest.
absl::Status CheckArrayFile(const std::string& path, const ArrayFileInfo& info);

// Fills `to` with elements `begin` .. of the file. DATA_LOSS when it has not got them.
absl::Status ReadArrayFile(const std::string& path, int64_t begin, absl::Span<float> to);

// Makes a rename inside `folder` survive a crash of the machine.
absl::Status SyncFolder(const std::string& folder);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_ARRAY_FILE_H_
