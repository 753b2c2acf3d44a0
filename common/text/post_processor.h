#ifndef RECKON_COMMON_TEXT_POST_PROCESSOR_H_
#define RECKON_COMMON_TEXT_POST_PROCESSOR_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/text/json.h"

namespace reckon {

// Returns the special token that the "post_processor" of a tokenizer.json adds before a text (Llama
// 3's <|begin_of_text|>), or nullopt. `spec` may be null, ByteLevel, a TemplateProcessing whose
// single text is "token, text", or a Sequence of these. Everything else is UNIMPLEMENTED, because
// nobody would notice a wrong token in every prompt.
absl::StatusOr<std::optional<std::string>> ReadPostProcessor(const nlohmann::json* spec);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_POST_PROCESSOR_H_
