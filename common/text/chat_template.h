#ifndef RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
#define RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Renders messages as the model's chat template does, without tools. Templates are known by their
// exact text, never interpreted: those of SmolLM2, Qwen2, Qwen2.5, Qwen3, Llama 2, 3, 3.1 and 3.2.
// Immutable.
//
// Where a template prints the date of today (Llama 3.2), the date is the one that it falls back to,
// 26 Jul 2024: a prompt must not change overnight.
class ChatTemplate {
 public:
  // `tokenizer_config_json`: content of tokenizer_config.json (its "chat_template" field).
  // UNIMPLEMENTED for a template Reckon does not know, with what to do.
  static absl::StatusOr<ChatTemplate> Create(absl::string_view tokenizer_config_json);

  // At least one message. Llama 2's are of user and assistant in turn, but for a system message.
  std::string Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

 private:
  // How turns are marked.
  enum class Kind { kChatMl, kQwen3, kLlama2, kLlama3, kLlama31 };
  ChatTemplate(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  // ChatML: the system message where there is none. Llama 3: what the whole begins with. Llama 2:
  // what a question begins with.
  std::string text_;
  std::string end_;  // Llama 2: what an answer ends with
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
