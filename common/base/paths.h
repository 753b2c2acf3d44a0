#ifndef RECKON_COMMON_BASE_PATHS_H_
#define RECKON_COMMON_BASE_PATHS_H_

#include <string>

#include "absl/status/statusor.h"

namespace reckon {

// Whether there is a file or folder. An error, which names the path, where that cannot be told: a
// folder on the way may not be entered, a name is too long, links form a loop. Use this in place of
// std::filesystem::exists, which throws then.
absl::StatusOr<bool> PathExists(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_PATHS_H_
