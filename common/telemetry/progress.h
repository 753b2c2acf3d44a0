#ifndef RECKON_COMMON_TELEMETRY_PROGRESS_H_
#define RECKON_COMMON_TELEMETRY_PROGRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/report.pb.h"

namespace reckon {

// <run_dir>/progress.json, by which `reckon train` follows the learner without a connection to it.
// Written atomically. A speed that is not finite is written as 0, and bytes of a line that are not
// UTF-8 as U+FFFD.
absl::Status WriteProgress(const std::string& run_dir, const Progress& progress);

// Says in progress.json what a learner waits for that has no Reporter yet; the rest of the file
// stays.
absl::Status ShowWaiting(const std::string& run_dir, const std::string& waiting_for);

// NOT_FOUND before the first write; INVALID_ARGUMENT names the file and what is wrong in it.
absl::StatusOr<Progress> ReadProgress(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_PROGRESS_H_
