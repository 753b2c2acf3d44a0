#ifndef RECKON_COMMON_CONFIG_TEXTPROTO_H_
#define RECKON_COMMON_CONFIG_TEXTPROTO_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"

namespace reckon {

// Reads the text of a textproto into `message`. Unknown fields and fields that are given twice
// are errors. INVALID_ARGUMENT is one line, "path:line:column: ..."; `path` is for errors only.
// `locations`, if not null, gets the line of every field.
absl::Status ParseTextproto(const std::string& path, const std::string& text,
                            google::protobuf::Message* message,
                            google::protobuf::TextFormat::ParseInfoTree* locations = nullptr);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_TEXTPROTO_H_
