#ifndef RECKON_COMMON_CONFIG_CONFIG_TREE_H_
#define RECKON_COMMON_CONFIG_CONFIG_TREE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace reckon {

// What a YAML or JSON file says, before it is a message: a tree of values with their places in the
// file. The readers (yaml_tree.h, json_tree.h) bound its depth; nothing refers to another part of
// it.
struct ConfigNode {
  enum Kind { kNull, kScalar, kMap, kList };
  Kind kind = kNull;
  std::string text;          // of a scalar; of kNull as written, "" where nothing is
  bool quoted = false;       // the scalar is a string for certain
  int line = 0, column = 0;  // of the value, from 1
  std::string key;           // of an entry of a map
  int key_line = 0, key_column = 0;
  std::vector<ConfigNode> children;  // of a map or list, in the order of the file
};

inline constexpr size_t kMaxConfigDepth = 32;

// The line of each field and entry that a file sets, from 1, by path: "grid[0].point[1].set[0]".
using ConfigLines = std::map<std::string, int>;

// Fills a message by protobuf's JSON mapping: a key is the name of a field, as in the .proto or in
// camelCase; null leaves a field as it is; an enum is a name or a number. `plain_strings`: a scalar
// without quotes may be a string, and a message without a value is an empty one, as YAML writes
// them. INVALID_ARGUMENT is one line, "path:line:column: field: ..."; `path` is for errors only.
absl::Status FillFromTree(const std::string& path, const ConfigNode& root, bool plain_strings,
                          google::protobuf::Message* message, ConfigLines* lines = nullptr);

// "path:line:column: what", safe to print.
absl::Status ConfigError(const std::string& path, int line, int column, absl::string_view what);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_CONFIG_TREE_H_
