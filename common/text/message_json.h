#ifndef RECKON_COMMON_TEXT_MESSAGE_JSON_H_
#define RECKON_COMMON_TEXT_MESSAGE_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace reckon {

// Messages as JSON files that humans and scripts read. A key is the field's json_name in the
// .proto, which may be any text ("maj@1").

// Indented, ending with a newline, in the order of the field numbers, with default values too;
// submessages that are not set are left out. The same message gives the same text: the entries of a
// map are in the order of their keys. Numbers read back exactly; strings must be UTF-8.
std::string MessageToJson(const google::protobuf::Message& message);

// Replaces `message`. Keys that it does not know are ignored, fields that the text lacks get their
// defaults. INVALID_ARGUMENT: not strict JSON (see ParseJson), or a value of the wrong type.
absl::Status MessageFromJson(absl::string_view text, google::protobuf::Message* message);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_MESSAGE_JSON_H_
