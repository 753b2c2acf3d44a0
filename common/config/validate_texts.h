#ifndef RECKON_COMMON_CONFIG_VALIDATE_TEXTS_H_
#define RECKON_COMMON_CONFIG_VALIDATE_TEXTS_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "proto/config.pb.h"

namespace reckon {

// Checks the strings of `message` by their options (text) and (required). `message` is a part of
// `config` whose fields have keys that begin with `prefix`; names of stages in it must be among the
// first `earlier` stages of `config`, because stages run in order.
absl::Status CheckTexts(const RunConfig& config, const google::protobuf::Message& message,
                        const std::string& prefix, int earlier);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_VALIDATE_TEXTS_H_
