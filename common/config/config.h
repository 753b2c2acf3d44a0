#ifndef RECKON_COMMON_CONFIG_CONFIG_H_
#define RECKON_COMMON_CONFIG_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// Loads the configuration of a run:
//
//   1. ParseConfig   the file, textproto, YAML or JSON (config_file.h), and the file that its
//   `base`
//                    names, at most 8 deep
//   2. MergeOver     lays each file over its base; repeated fields replace (fields.h)
//   3. ApplyOverride one assignment of the command line after the other, "a.b=c" (override.h)
//   4. ResolveConfig defaults that depend on other fields (resolve.h)
//   5. ValidateConfig ranges, required fields, rules between fields (validate.h)
//
// INVALID_ARGUMENT, or NOT_FOUND for a missing file, is one line: "file:line:column: ...",
// "file: key: ..." or "--set a.b: ...".
absl::StatusOr<RunConfig> LoadConfig(const std::string& path,
                                     const std::vector<std::string>& overrides);

// Reads the text of one file, without its base. `path` is for errors only.
absl::StatusOr<RunConfig> ParseConfig(const std::string& path, const std::string& text);

// Writes the resolved config as textproto with all defaults. LoadConfig reads the same config back.
std::string FormatConfig(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_CONFIG_H_
