#ifndef RECKON_COMMON_CONFIG_OVERRIDE_H_
#define RECKON_COMMON_CONFIG_OVERRIDE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace reckon {

// Sets one field of `config` from an assignment of the command line, as "seed=5" or
// "stage[0].ei.rounds=3". Enum values may be written in lower case; the rest of the text after '='
// is the value of a string. Entry 0 of a list that has none is made. INVALID_ARGUMENT is one line
// that begins with "--set PATH: " and names the nearest field, the values of the enum or the type
// that was expected. `config` may have new empty submessages then.
absl::Status ApplyOverride(absl::string_view assignment, google::protobuf::Message* config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_OVERRIDE_H_
