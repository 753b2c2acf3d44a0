#include "common/task/dataset/chat_record.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr absl::string_view kAssistant = "assistant";

absl::StatusOr<std::string> ReadContent(const json& message) {
  const json* content = FindField(message, "content");
  if (content == nullptr) return absl::InvalidArgumentError("has no content");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a content that is no text, but ", content->type_name()));
  }
  std::string text;
  for (const json& part : *content) {
    const absl::StatusOr<std::string> piece = GetString(part, "text");
    if (!piece.ok()) return absl::InvalidArgumentError("has a part that is no text");
    text += *piece;
  }
  return text;
}

absl::StatusOr<ChatMessage> ReadMessage(const json& message) {
  if (!message.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("is no object, but ", message.type_name()));
  }
  const absl::StatusOr<std::string> role = GetString(message, "role");
  if (!role.ok() || role->empty()) return absl::InvalidArgumentError("has no role");
  const json* calls = FindField(message, "tool_calls");
  if (calls != nullptr && !calls->empty()) {
    return absl::InvalidArgumentError("calls a tool, and a prompt has none");
  }
  ASSIGN_OR_RETURN(std::string content, ReadContent(message));
  return ChatMessage{*role, std::move(content)};
}

}  // namespace

absl::StatusOr<ChatRecord> ReadChat(const json& messages) {
  ChatRecord chat;
  for (const json& message : messages) {
    absl::StatusOr<ChatMessage> read = ReadMessage(message);
    if (!read.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("message ", chat.prompt.size() + 1, " ", read.status().message()));
    }
    chat.prompt.push_back(*std::move(read));
  }
  if (!chat.prompt.empty() && chat.prompt.back().role == kAssistant) {
    chat.reply = std::move(chat.prompt.back().content);
    chat.prompt.pop_back();
  }
  if (chat.prompt.empty()) return absl::InvalidArgumentError("there is no message to reply to");
  if (absl::StripAsciiWhitespace(QuestionOf(chat.prompt)).empty()) {
    return absl::InvalidArgumentError("the question is empty");
  }
  return chat;
}

std::string QuestionOf(const std::vector<ChatMessage>& prompt) {
  for (size_t i = prompt.size(); i-- > 0;) {
    if (prompt[i].role == "user") return prompt[i].content;
  }
  return prompt.back().content;
}

}  // namespace reckon
