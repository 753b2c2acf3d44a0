#ifndef RECKON_COMMON_MODEL_FILES_SHARD_INDEX_H_
#define RECKON_COMMON_MODEL_FILES_SHARD_INDEX_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Parses `text`, the content of the model.safetensors.index.json at `path`, into a map from tensor
// to the name of its shard, a file in the same folder (often a link, in the Hugging Face cache).
// INVALID_ARGUMENT names `path` and a tensor whose shard is not the name of a .safetensors file.
absl::StatusOr<std::map<std::string, std::string>> ParseShardIndex(const std::string& path,
                                                                   absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_SHARD_INDEX_H_
