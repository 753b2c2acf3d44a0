#include "common/text/chat_template.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

constexpr absl::string_view kLlamaSystem =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

// System messages that ChatML templates write for a conversation without one. The longest come
// first, because one is a part of another.
constexpr absl::string_view kSystemMessages[] = {
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "Please reason step by step, and put your final answer within \\\\boxed{}.",
    "You are a helpful assistant.",
};

// Identifies a template's text. Not a secure digest, and it need not be: a text made to collide
// with a known template is rendered as that template.
uint64_t Fingerprint(absl::string_view text) { return StreamKey(text.size(), text); }

// Removes white space at both ends, as Python's str.strip() and Jinja's `trim` define it: Unicode's
// and the four information separators.
absl::string_view StripSpace(absl::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = Utf8At(text, at);
    if (!u_isUWhiteSpace(static_cast<UChar32>(c.code)) && (c.code < 0x1c || c.code > 0x1f)) {
      begin = std::min(begin, at);
      end = at + c.length;
    }
    at += c.length;
  }
  return begin < end ? text.substr(begin, end - begin) : absl::string_view();
}

absl::Status UnknownTemplate(absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("tokenizer_config.json: ", what, "; use the plain or few-shot format"));
}

// Fingerprints of the known templates; those of ChatML with "@" for the sentence in which they
// differ.
constexpr uint64_t kChatMlShape = 0x619c543be486b782;  // SmolLM2, Qwen2
constexpr uint64_t kQwen25Shape = 0xda1b0fb1d7eef81c;  // the same with tools
constexpr uint64_t kQwen3Text = 0x1bcf2d7e9dbcb15f;
constexpr uint64_t kLlama2Text = 0x845fc12d9bd9a5bf;
constexpr uint64_t kLlama3Text = 0x49692485471ddb8d;
constexpr uint64_t kLlama31Text = 0xee661ea1eecf7999;
constexpr uint64_t kLlama32Text = 0x69613e9c3b838234;

// Reads a special token as transformers does: a string, or an added token with content.
absl::StatusOr<std::string> ReadToken(const nlohmann::json& config, absl::string_view name) {
  const nlohmann::json* token = FindField(config, name);
  absl::StatusOr<std::string> text = token != nullptr && token->is_object()
                                         ? GetString(*token, "content")
                                         : GetString(config, name);
  if (text.ok()) return text;
  return absl::InvalidArgumentError(
      absl::StrCat("tokenizer_config.json: ", text.status().message()));
}

void AppendChatMl(const ChatMessage& message, std::string* out) {
  absl::StrAppend(out, "<|im_start|>", message.role, "\n", message.content, "<|im_end|>\n");
}

void AppendLlama(absl::string_view role, absl::string_view content, std::string* out) {
  absl::StrAppend(out, "<|start_header_id|>", role, "<|end_header_id|>\n\n", StripSpace(content),
                  "<|eot_id|>");
}

absl::string_view StripNewlines(absl::string_view text) {
  while (absl::ConsumePrefix(&text, "\n")) continue;
  while (absl::ConsumeSuffix(&text, "\n")) continue;
  return text;
}

// Llama 2 puts the system message into the first question.
std::string RenderLlama2(const std::vector<ChatMessage>& messages, absl::string_view bos,
                         absl::string_view eos) {
  const bool has_system = messages[0].role == "system";
  std::string out;
  for (size_t i = has_system; i < messages.size(); ++i) {
    std::string content = messages[i].content;
    if (has_system && i == 1) {
      content = absl::StrCat("<<SYS>>\n", messages[0].content, "\n<</SYS>>\n\n", content);
    }
    if (messages[i].role == "user") {
      absl::StrAppend(&out, bos, "[INST] ", StripSpace(content), " [/INST]");
    } else {
      absl::StrAppend(&out, " ", StripSpace(content), " ", eos);
    }
  }
  return out;
}

// Qwen3 removes the thoughts from every answer before the last question.
std::string RenderQwen3(const std::vector<ChatMessage>& messages) {
  size_t last_query = messages.size() - 1;
  for (size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role != "user" || (absl::StartsWith(messages[i].content, "<tool_response>") &&
                                       absl::EndsWith(messages[i].content, "</tool_response>"))) {
      continue;
    }
    last_query = i;
    break;
  }
  std::string out;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") {
      AppendChatMl(messages[i], &out);
      continue;
    }
    absl::string_view content = messages[i].content, thoughts;
    if (const size_t end = content.find("</think>"); end != absl::string_view::npos) {
      thoughts = content.substr(0, end);
      while (absl::ConsumeSuffix(&thoughts, "\n")) continue;
      if (const size_t begin = thoughts.rfind("<think>"); begin != absl::string_view::npos) {
        thoughts.remove_prefix(begin + 7);
      }
      content.remove_prefix(content.rfind("</think>") + 8);
      while (absl::ConsumePrefix(&content, "\n")) continue;
      while (absl::ConsumePrefix(&thoughts, "\n")) continue;
    }
    absl::StrAppend(&out, "<|im_start|>assistant\n");
    if (i > last_query && (i + 1 == messages.size() || !thoughts.empty())) {
      while (absl::ConsumePrefix(&content, "\n")) continue;
      absl::StrAppend(&out, "<think>\n", StripNewlines(thoughts), "\n</think>\n\n");
    }
    absl::StrAppend(&out, content, "<|im_end|>\n");
  }
  return out;
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Create(absl::string_view tokenizer_config_json) {
  auto config = ParseJson(tokenizer_config_json);
  if (!config.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer_config.json: ", config.status().message()));
  }
  const nlohmann::json* field = FindField(*config, "chat_template");
  if (field == nullptr) {
    return UnknownTemplate("there is no chat_template: the model was not trained to chat");
  }
  const std::string text = field->is_string() ? field->get<std::string>() : "";
  for (absl::string_view system : kSystemMessages) {
    const uint64_t shape = Fingerprint(absl::StrReplaceAll(text, {{system, "@"}}));
    if (shape == kChatMlShape || shape == kQwen25Shape) {
      return ChatTemplate(Kind::kChatMl, absl::StrReplaceAll(system, {{"\\\\", "\\"}}));
    }
  }
  const uint64_t exact = Fingerprint(text);
  if (exact == kQwen3Text) return ChatTemplate(Kind::kQwen3, "");
  const bool llama3 = exact == kLlama3Text;
  if (llama3 || exact == kLlama31Text || exact == kLlama32Text) {
    ASSIGN_OR_RETURN(std::string bos, ReadToken(*config, "bos_token"));
    return ChatTemplate(llama3 ? Kind::kLlama3 : Kind::kLlama31, std::move(bos));
  }
  // Published with one space before the plus sign, and with two.
  if (Fingerprint(absl::StrReplaceAll(text, {{"' '  +", "' ' +"}})) == kLlama2Text) {
    ASSIGN_OR_RETURN(std::string bos, ReadToken(*config, "bos_token"));
    ChatTemplate chat(Kind::kLlama2, std::move(bos));
    ASSIGN_OR_RETURN(chat.end_, ReadToken(*config, "eos_token"));
    return chat;
  }
  return UnknownTemplate(
      "chat_template is not known to Reckon, which does not interpret templates and knows those of "
      "SmolLM2, Qwen2, Qwen2.5, Qwen3, Llama 2 and Llama 3 to 3.2");
}

std::string ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  const bool has_system = !messages.empty() && messages[0].role == "system";
  std::string out;
  switch (kind_) {
    case Kind::kChatMl:
      if (!messages.empty() && !has_system) AppendChatMl({"system", text_}, &out);
      for (const ChatMessage& message : messages) AppendChatMl(message, &out);
      break;
    case Kind::kQwen3:
      if (!messages.empty()) out = RenderQwen3(messages);
      break;
    case Kind::kLlama2:
      return RenderLlama2(messages, text_, end_);  // a question ends with what asks for the answer
    case Kind::kLlama3:
      out = text_;
      for (const ChatMessage& message : messages) AppendLlama(message.role, message.content, &out);
      break;
    case Kind::kLlama31:
      out = absl::StrCat(text_, "<|start_header_id|>system<|end_header_id|>\n\n", kLlamaSystem,
                         has_system ? StripSpace(messages[0].content) : "", "<|eot_id|>");
      for (size_t i = has_system; i < messages.size(); ++i) {
        AppendLlama(messages[i].role, messages[i].content, &out);
      }
      break;
  }
  if (!add_generation_prompt) return out;
  const bool chat_ml = kind_ == Kind::kChatMl || kind_ == Kind::kQwen3;
  return out + (chat_ml ? "<|im_start|>assistant\n"
                        : "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

}  // namespace reckon
