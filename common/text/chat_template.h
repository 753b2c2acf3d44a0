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

// Renders messages as the model's chat template does, without tools. Templates are recognised by
// their exact text and never interpreted. Known are those of SmolLM2, Qwen2, Qwen2.5, Qwen3, Llama
// 2, 3, 3.1 and 3.2. Immutable and thread-safe.
//
// Where a template prints today's date (Llama 3.2), the date is 26 Jul 2024, which the template
// uses when it has no clock. A prompt must not depend on the day.
class ChatTemplate {
 public:
  // `tokenizer_config_json`: content of tokenizer_config.json (its "chat_template" field).
  // UNIMPLEMENTED for an unknown template, with what to use instead.
  static absl::StatusOr<ChatTemplate> Create(absl::string_view tokenizer_config_json);

  // `messages` must not be empty. Llama 2: after an optional system message, user and assistant
  // must alternate.
  std::string Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

 private:
  enum class Kind { kChatMl, kQwen3, kLlama2, kLlama3, kLlama31 };
  ChatTemplate(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  // ChatML: the default system message. Llama 3: the beginning of the text. Llama 2: the beginning
  // of each question.
  std::string text_;
  std::string end_;  // Llama 2: the end of each answer
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
