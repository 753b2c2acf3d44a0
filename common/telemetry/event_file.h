#ifndef RECKON_COMMON_TELEMETRY_EVENT_FILE_H_
#define RECKON_COMMON_TELEMETRY_EVENT_FILE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// The bytes of a TensorBoard event file, written by hand: a handful of protobuf fields in TFRecord
// frames. Pure functions.

uint32_t Crc32c(absl::string_view data);

// Length, masked CRC of the length, data, masked CRC of the data.
std::string TfRecord(absl::string_view data);

// tensorflow.Event messages.
std::string VersionEvent(double wall_time);
// Tells TensorBoard to forget what it read at `step` and later.
std::string RestartEvent(double wall_time, int64_t step);
std::string ScalarsEvent(double wall_time, int64_t step,
                         const std::map<std::string, double>& values);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_EVENT_FILE_H_
