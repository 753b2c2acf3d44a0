#include "common/text/chat_template.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

// The text of SmolLM2-Instruct's template: ChatML with a system message of its own when there is
// none.
constexpr absl::string_view kSmolLm2Template =
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
constexpr absl::string_view kSmolLm2System =
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Create(absl::string_view tokenizer_config_json) {
  auto config = ParseJson(tokenizer_config_json);
  if (!config.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer_config.json: ", config.status().message()));
  }
  const nlohmann::json* text = FindField(*config, "chat_template");
  if (text == nullptr) {
    return absl::UnimplementedError(
        "tokenizer_config.json has no chat_template: the model was not trained to chat; use the "
        "plain or few-shot format");
  }
  if (!text->is_string() || text->get_ref<const std::string&>() != kSmolLm2Template) {
    return absl::UnimplementedError(
        "tokenizer_config.json: chat_template is not known to Reckon, which does not interpret "
        "templates and knows SmolLM2's only; use the plain or few-shot format");
  }
  return ChatTemplate(Kind::kSmolLm2);
}

std::string ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  std::string out;
  auto append = [&out](absl::string_view role, absl::string_view content) {
    absl::StrAppend(&out, "<|im_start|>", role, "\n", content, "<|im_end|>\n");
  };
  if (!messages.empty() && messages[0].role != "system") append("system", kSmolLm2System);
  for (const ChatMessage& message : messages) append(message.role, message.content);
  if (add_generation_prompt) absl::StrAppend(&out, "<|im_start|>assistant\n");
  return out;
}

}  // namespace reckon
