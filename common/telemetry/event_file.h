#ifndef RECKON_COMMON_TELEMETRY_EVENT_FILE_H_
#define RECKON_COMMON_TELEMETRY_EVENT_FILE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// The bytes of a TensorBoard event file: Event messages (proto/tensorboard.proto) in TFRecord
// frames. Pure functions. Times are seconds since 1970.

// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
uint32_t Crc32c(absl::string_view data);

// A frame: length (8 bytes), masked CRC of the length (4), data, masked CRC of the data (4).
std::string TfRecord(absl::string_view data);

// The first event of every file.
std::string VersionEvent(double wall_time);
// Tells TensorBoard to forget what it read at `step` and later.
std::string RestartEvent(double wall_time, int64_t step);
// One scalar a name.
std::string ScalarsEvent(double wall_time, int64_t step,
                         const std::map<std::string, double>& values);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_EVENT_FILE_H_
