#ifndef RECKON_COMMON_CONFIG_YAML_TREE_H_
#define RECKON_COMMON_CONFIG_YAML_TREE_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/config/config_tree.h"

namespace reckon {

// Reads a YAML file of one document by libyaml's events, so that nothing is built of what is
// refused: aliases (whose expansion a small file can make as large as it likes), tags, keys that
// are no scalars, and values nested deeper than kMaxConfigDepth. INVALID_ARGUMENT is one line,
// "path:line:column: ...". The caller bounds the size.
absl::StatusOr<ConfigNode> ReadYamlTree(const std::string& path, const std::string& text);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_YAML_TREE_H_
