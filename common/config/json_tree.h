#ifndef RECKON_COMMON_CONFIG_JSON_TREE_H_
#define RECKON_COMMON_CONFIG_JSON_TREE_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/config/config_tree.h"

namespace reckon {

// Reads a JSON file of one value, strictly: no comments, values nested at most kMaxConfigDepth
// deep. INVALID_ARGUMENT is one line, "path:line:column: ...". The caller bounds the size.
absl::StatusOr<ConfigNode> ReadJsonTree(const std::string& path, const std::string& text);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_JSON_TREE_H_
