// Answers, line by line, what text_parity.py asks of common/text:
//   {"encode": TEXT, "special": BOOL}  -> [ID, ...]
//   {"bos": null} -> ID or null
//   {"decode": [ID, ...], "skip": BOOL} -> TEXT
//   {"chat": [[ROLE, CONTENT], ...], "prompt": BOOL} -> TEXT
// Usage: text_parity_tool TOKENIZER_JSON TOKENIZER_CONFIG_JSON < questions > answers

#include <iostream>
#include <string>

#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/chat_template.h"
#include "common/text/json.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

using nlohmann::json;

absl::StatusOr<json> Answer(const Tokenizer& tokenizer, const ChatTemplate& chat,
                            const json& question) {
  if (FindField(question, "encode") != nullptr) {
    ASSIGN_OR_RETURN(std::string text, GetString(question, "encode"));
    ASSIGN_OR_RETURN(bool special, GetBool(question, "special"));
    return json(tokenizer.Encode(text, special));
  }
  if (question.contains("bos")) {
    return tokenizer.bos().has_value() ? json(*tokenizer.bos()) : json();
  }
  if (FindField(question, "decode") != nullptr) {
    ASSIGN_OR_RETURN(const json* ids, GetArray(question, "decode"));
    ASSIGN_OR_RETURN(bool skip, GetBool(question, "skip"));
    return json(tokenizer.Decode(ids->get<std::vector<uint32_t>>(), skip));
  }
  ASSIGN_OR_RETURN(const json* pairs, GetArray(question, "chat"));
  ASSIGN_OR_RETURN(bool prompt, GetBool(question, "prompt"));
  std::vector<ChatMessage> messages;
  for (const json& pair : *pairs) messages.push_back({pair.at(0), pair.at(1)});
  return json(chat.Render(messages, prompt));
}

absl::Status Run(const char* tokenizer_path, const char* config_path) {
  ASSIGN_OR_RETURN(std::string tokenizer_json, ReadFile(tokenizer_path));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Create(tokenizer_json));
  ASSIGN_OR_RETURN(std::string config_json, ReadFile(config_path));
  ASSIGN_OR_RETURN(ChatTemplate chat, ChatTemplate::Create(config_json));
  std::string line;
  while (std::getline(std::cin, line)) {
    ASSIGN_OR_RETURN(json question, ParseJson(line));
    ASSIGN_OR_RETURN(json answer, Answer(*tokenizer, chat, question));
    std::cout << answer.dump() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  if (argc != 3) {
    std::cerr << "usage: text_parity_tool TOKENIZER_JSON TOKENIZER_CONFIG_JSON\n";
    return 2;
  }
  const absl::Status status = reckon::Run(argv[1], argv[2]);
  if (!status.ok()) std::cerr << status << '\n';
  return status.ok() ? 0 : 1;
}
