#ifndef RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_
#define RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace reckon {

// model.safetensors.index.json: the file name of each tensor's shard, which lies beside it.
// INVALID_ARGUMENT names the file, and the tensor whose shard is no file name.
absl::StatusOr<std::map<std::string, std::string>> ReadShardIndex(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_
