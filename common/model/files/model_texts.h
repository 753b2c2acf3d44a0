#ifndef RECKON_COMMON_MODEL_FILES_MODEL_TEXTS_H_
#define RECKON_COMMON_MODEL_FILES_MODEL_TEXTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/model/files/side_files.h"
#include "proto/weights.pb.h"

namespace reckon {

// The texts of a model folder that a manifest holds. They are sent inside it, in one message
// (common/net/channel.h); the largest published tokenizer.json has 33 MB.
inline constexpr uint64_t kMaxTextBytes = 60 << 20;

// Reads config.json and generation_config.json (optional) into the manifest.
absl::Status ReadModelTexts(const std::string& folder, FolderTexts* texts);

// Whether the folder has a tokenizer of its own.
bool HasTokenizer(const std::string& folder);
// Reads tokenizer.json or tokenizer.model (SentencePiece), or both, and tokenizer_config.json
// (optional). The manifest's tokenizer_config_json is what transformers makes of several files:
//   chat_template          of chat_template.jinja and additional_chat_templates/NAME.jinja, where
//                          they are; else its own; else that of chat_template.json, which
//                          transformers' processors read and its tokenizers do not
//   bos_token and others   of special_tokens_map.json, if it has no added_tokens_decoder (folders
//                          from before 2023); else its own
// Where it differs from the file, the file is kept in `side_files`, so that it is written as it
// was.
absl::Status ReadTokenizerTexts(const std::string& folder, FolderTexts* texts,
                                SideFiles* side_files);

// Removes the files of a tokenizer that another one takes the place of.
void RemoveTokenizerFiles(SideFiles* side_files);

// All of these: NOT_FOUND: the file is missing. INVALID_ARGUMENT: too large, not UTF-8, or, of
// those that are read here, not a JSON object. Errors name the file.

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_MODEL_TEXTS_H_
