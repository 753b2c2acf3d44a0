#ifndef RECKON_COMMON_CONFIG_CONFIG_STEPS_H_
#define RECKON_COMMON_CONFIG_CONFIG_STEPS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/config.pb.h"

namespace reckon {

// The steps of LoadConfig, each a pure function on messages.

// One file's text, without its base. INVALID_ARGUMENT: one line, "path:line:column: ...".
absl::StatusOr<RunConfig> ParseConfig(const std::string& path, const std::string& text);

// Lays `over` on top of `base`: set fields win, messages merge, repeated fields replace.
void MergeOver(const google::protobuf::Message& over, google::protobuf::Message* base);

// Sets one "path=value" override.
absl::Status ApplyOverride(absl::string_view assignment, google::protobuf::Message* config);

// Fills what depends on other fields: names of stages, their training settings merged over the
// run's, "builtin" evaluation data for "builtin" training data. Doing it twice changes nothing.
void ResolveConfig(RunConfig* config);

// "; did you mean 'learning_rate'?" or the list of what there is.
std::string SuggestField(const google::protobuf::Descriptor& type, absl::string_view unknown);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_CONFIG_STEPS_H_
