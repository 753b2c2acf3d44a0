#ifndef RECKON_COMMON_CONFIG_CONFIG_H_
#define RECKON_COMMON_CONFIG_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// Reads a textproto config, merges `base` first (a repeated field replaces the base's), applies
// overrides of the form "a.b=c" ("stage[0].ei.rounds=3" for repeated fields), checks it with
// ValidateConfig. Errors are one line: "file:line:column: ..." or "--set a.b: ...".
absl::StatusOr<RunConfig> LoadConfig(const std::string& path,
                                     const std::vector<std::string>& overrides);

// Ranges, required fields, names; each error names the config key and the fix.
absl::Status ValidateConfig(const RunConfig& config);

// The resolved config as textproto, defaults included.
std::string FormatConfig(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_CONFIG_H_
