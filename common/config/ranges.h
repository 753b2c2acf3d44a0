#ifndef RECKON_COMMON_CONFIG_RANGES_H_
#define RECKON_COMMON_CONFIG_RANGES_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace reckon {

// Checks every set number of `message` and of its submessages against the (range) option of its
// field (proto/options.proto). Floating-point numbers must be finite as well. INVALID_ARGUMENT
// names the first offender by its path below `prefix`, its value and what is allowed:
//
//   ppo.sampling.top_p is 0; allowed: above 0, at most 1
//   ppo.clip.ratio_c is 0.5; allowed: 1 to 1000000, or 0
//
// Unset fields are skipped: the schema's defaults are in range (ranges_test.cc).
absl::Status CheckRanges(const google::protobuf::Message& message, const std::string& prefix = "");

// Whether a field of this type of a config message may hold `value`.
bool InRange(const google::protobuf::FieldDescriptor& field, double value);

// What InRange allows, for humans: "1 to 4096", "above 0, at most 1", "any number".
std::string DescribeRange(const google::protobuf::FieldDescriptor& field);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_RANGES_H_
