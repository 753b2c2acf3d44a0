#ifndef RECKON_COMMON_TASK_DATASET_CHAT_RECORD_H_
#define RECKON_COMMON_TASK_DATASET_CHAT_RECORD_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/chat_template.h"
#include "common/text/json.h"

namespace reckon {

// A chat as records hold it, [{"role": "user", "content": "..."}, ...], as a prompt and the reply
// to it. A content is a text, or a list of parts {"type": "text", "text": "..."}.
struct ChatRecord {
  std::vector<ChatMessage> prompt;   // at least one message
  std::optional<std::string> reply;  // the last message, if it is the assistant's
};

// Pure. INVALID_ARGUMENT says which message is wrong: no role or no text, a tool call, nothing to
// reply to.
absl::StatusOr<ChatRecord> ReadChat(const nlohmann::json& messages);

// What a chat asks: the text of its last message of the user's; where there is none, of the last
// one.
std::string QuestionOf(const std::vector<ChatMessage>& prompt);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_CHAT_RECORD_H_
