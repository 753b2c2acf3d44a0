#ifndef RECKON_COMMON_CONFIG_RUN_FOLDER_H_
#define RECKON_COMMON_CONFIG_RUN_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/checkpoint.pb.h"
#include "proto/config.pb.h"

namespace reckon {

// What a run's folder tells of earlier starts, for who starts the run again.

// Whether a learner of the run in this folder got beyond its checks of config and data. One that
// has not begun may start with any config.
bool HasBegun(const std::string& run_dir);

// Steps of the checkpoint folders, oldest first, whole or damaged.
std::vector<int64_t> ListCheckpoints(const std::string& run_dir);

// The cursor of the newest checkpoint whose manifest can be read; empty if there is none.
Cursor NewestCursor(const std::string& run_dir);

// The config that the folder keeps, of the start before; absent where it keeps none.
// FAILED_PRECONDITION: the run has begun and cannot continue with `config` (resume_rules.h).
absl::StatusOr<std::optional<RunConfig>> ConfigBefore(const std::string& run_dir,
                                                      const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_RUN_FOLDER_H_
