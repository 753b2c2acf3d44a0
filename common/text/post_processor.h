#ifndef RECKON_COMMON_TEXT_POST_PROCESSOR_H_
#define RECKON_COMMON_TEXT_POST_PROCESSOR_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/text/json.h"

namespace reckon {

// What a tokenizer.json's "post_processor" puts in front of a text: one special token (Llama 3's
// <|begin_of_text|>) or nothing. `spec` may be null, ByteLevel, a TemplateProcessing whose single
// text is "token, text", or a Sequence of these. UNIMPLEMENTED for all else: a token more or less
// in every prompt would not be noticed.
absl::StatusOr<std::optional<std::string>> ReadPostProcessor(const nlohmann::json* spec);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_POST_PROCESSOR_H_
