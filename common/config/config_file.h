#ifndef RECKON_COMMON_CONFIG_CONFIG_FILE_H_
#define RECKON_COMMON_CONFIG_CONFIG_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/config/config_tree.h"
#include "google/protobuf/message.h"

namespace reckon {

inline constexpr uint64_t kMaxConfigBytes = 1 << 20;

// Reads the text of a config file into `message`: YAML if its path ends in .yaml or .yml, JSON if
// it ends in .json, else textproto. A byte order mark is skipped. Unknown fields and fields that
// are given twice are errors. INVALID_ARGUMENT is one line, "path:line:column: ..."; `path` is for
// errors only. `lines`, if not null, gets the line of every field, for errors that are found later.
absl::Status ParseConfigText(const std::string& path, const std::string& content,
                             google::protobuf::Message* message, ConfigLines* lines = nullptr);

// Whether a file is a config rather than data, by its name; of a .json file by its content: a
// config is an object, data are an array.
bool IsConfigFile(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_CONFIG_FILE_H_
