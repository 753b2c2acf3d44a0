#ifndef RECKON_COMMON_MODEL_FILES_CHECKPOINT_FILES_H_
#define RECKON_COMMON_MODEL_FILES_CHECKPOINT_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/files/safetensors_file.h"

namespace reckon {

// The weight files of a model folder, opened: model.safetensors, or model.safetensors.index.json
// and its shards in the order of their names.
struct CheckpointFiles {
  std::string listing;  // the file that lists the tensors, for messages
  std::vector<SafetensorsFile> files;
};

// INVALID_ARGUMENT names a malformed file, or a tensor that the index and its file do not agree on.
// NOT_FOUND: a file is missing; FAILED_PRECONDITION: the weights are in files of another kind.
absl::StatusOr<CheckpointFiles> OpenCheckpoint(const std::string& folder);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_CHECKPOINT_FILES_H_
