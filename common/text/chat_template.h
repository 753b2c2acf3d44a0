#ifndef RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
#define RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Renders messages as the model's chat template does. Templates are known by their exact text, not
// interpreted. Immutable.
class ChatTemplate {
 public:
  // `tokenizer_config_json`: content of tokenizer_config.json (its "chat_template" field).
  // UNIMPLEMENTED for a template Reckon does not know, with what to do.
  static absl::StatusOr<ChatTemplate> Create(absl::string_view tokenizer_config_json);

  std::string Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

 private:
  enum class Kind { kSmolLm2 };
  explicit ChatTemplate(Kind kind) : kind_(kind) {}
  Kind kind_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
