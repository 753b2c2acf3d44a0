#ifndef RECKON_ACTOR_SERVE_SERVED_MODEL_H_
#define RECKON_ACTOR_SERVE_SERVED_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"
#include "proto/weights.pb.h"

namespace reckon {

// What requests are read and answered with, beside the engine. Immutable; shared by all
// connections.
struct ServedModel {
  // INVALID_ARGUMENT or FAILED_PRECONDITION: its texts cannot be served. A model without a chat
  // template has `chat_refused` instead.
  static absl::StatusOr<ServedModel> Load(const FolderTexts& texts, std::string name,
                                          const std::string& chat_template_kwargs);

  std::string name;
  int64_t created = 0;  // seconds since 1970, when it was loaded
  int64_t max_positions = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;
  std::string chat_refused;          // why there is no chat
  std::vector<uint32_t> plain_ends;  // that end a completion, and those that end an answer
  std::vector<uint32_t> chat_ends;

  // The tokens of a conversation, up to where the assistant's answer begins. The text of a message
  // is never read as special tokens, even if it spells one. INVALID_ARGUMENT: there is no chat
  // template, or it refuses the messages, with what it says.
  absl::StatusOr<std::vector<uint32_t>> ChatPrompt(const std::vector<ChatMessage>& messages) const;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_SERVED_MODEL_H_
