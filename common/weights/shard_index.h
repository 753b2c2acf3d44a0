#ifndef RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_
#define RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// `text` of model.safetensors.index.json: the file name of each tensor's shard, which lies beside
// it (where it may be a link, as in the Hugging Face cache). INVALID_ARGUMENT names the file, which
// is `path`, and the tensor whose shard is no file name.
absl::StatusOr<std::map<std::string, std::string>> ParseShardIndex(const std::string& path,
                                                                   absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_SHARD_INDEX_H_
