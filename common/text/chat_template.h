#ifndef RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
#define RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

struct ReckonTemplate;

namespace reckon {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Renders messages by the model's chat template, a program in the language of jinja2, as
// `transformers` does: with the special tokens of tokenizer_config.json as variables, and without
// tools or documents. It is run without access to anything else, with a bound on its work, its
// memory and its output. Immutable and thread-safe.
//
// Where a template prints today's date, the date is 26 July 2024, which published templates use
// when they have no clock: a prompt must not depend on the day.
class ChatTemplate {
 public:
  // `tokenizer_config_json`: content of tokenizer_config.json, as model_texts.h joins it. Its
  // chat_template is a text, or several by their names (a list of {name, template}, or an object),
  // of which the default is taken. `kwargs_json`: further variables, an
  // object ("" for none). NOT_FOUND: there is no template. INVALID_ARGUMENT names the line of the
  // template that is wrong, or what is wrong with kwargs_json.
  static absl::StatusOr<ChatTemplate> Create(absl::string_view tokenizer_config_json,
                                             absl::string_view kwargs_json = "");

  // INVALID_ARGUMENT when the template refuses the messages, with what it says.
  absl::StatusOr<std::string> Render(const std::vector<ChatMessage>& messages,
                                     bool add_generation_prompt) const;

 private:
  ChatTemplate() = default;

  std::shared_ptr<const ReckonTemplate> library_;
  std::shared_ptr<const nlohmann::json> variables_;  // but for messages and add_generation_prompt
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_CHAT_TEMPLATE_H_
