// Applies common/text for text_parity.py, one question and one answer a line:
//   {"encode": TEXT, "special": BOOL}  -> [ID, ...]
//   {"encode_hex": BYTES} -> [ID, ...]
//   {"begin": TEXT} -> [ID, ...]
//   {"decode": [ID, ...], "skip": BOOL} -> TEXT
//   {"chat": [[ROLE, CONTENT], ...], "prompt": BOOL} -> TEXT, or null if the template refuses
// Usage: text_parity_tool TOKENIZER TOKENIZER_CONFIG_JSON KWARGS_JSON < questions > answers
// TOKENIZER: a tokenizer.json or a tokenizer.model. Or, with all of a model folder's files:
// text_parity_tool FOLDER < questions > answers

#include <iostream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/files/model_texts.h"
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
    ASSIGN_OR_RETURN(const auto ids, tokenizer.Encode(text, special));
    return json(ids);
  }
  if (FindField(question, "encode_hex") != nullptr) {
    ASSIGN_OR_RETURN(std::string hex, GetString(question, "encode_hex"));
    ASSIGN_OR_RETURN(const auto ids,
                     tokenizer.Encode(absl::HexStringToBytes(hex), /*parse_special=*/false));
    return json(ids);
  }
  if (FindField(question, "begin") != nullptr) {
    ASSIGN_OR_RETURN(std::string text, GetString(question, "begin"));
    ASSIGN_OR_RETURN(const auto ids, tokenizer.EncodeBeginning(text));
    return json(ids);
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
  const absl::StatusOr<std::string> text = chat.Render(messages, prompt);
  if (text.ok()) return json(*text);
  std::cerr << text.status().message() << "\n";
  return json();  // null
}

// The texts of a manifest, from single files.
absl::Status ReadTexts(const char* tokenizer_path, const char* config_path, FolderTexts* out) {
  std::string& text = absl::EndsWith(tokenizer_path, ".model") ? *out->mutable_tokenizer_model()
                                                               : *out->mutable_tokenizer_json();
  ASSIGN_OR_RETURN(text, ReadFile(tokenizer_path));
  ASSIGN_OR_RETURN(*out->mutable_tokenizer_config_json(), ReadFile(config_path));
  return absl::OkStatus();
}

absl::Status Run(int argc, char** argv) {
  FolderTexts texts;
  SideFiles side_files;
  RETURN_IF_ERROR(argc == 2 ? ReadTokenizerTexts(argv[1], &texts, &side_files)
                            : ReadTexts(argv[1], argv[2], &texts));
  ASSIGN_OR_RETURN(auto tokenizer,
                   Tokenizer::Create(texts.tokenizer_json(), texts.tokenizer_model()));
  ASSIGN_OR_RETURN(ChatTemplate chat,
                   ChatTemplate::Create(texts.tokenizer_config_json(), argc == 2 ? "" : argv[3]));
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
  if (argc != 2 && argc != 4) {
    std::cerr << "usage: text_parity_tool FOLDER | TOKENIZER TOKENIZER_CONFIG_JSON KWARGS_JSON\n";
    return 2;
  }
  const absl::Status status = reckon::Run(argc, argv);
  if (!status.ok()) std::cerr << status << '\n';
  return status.ok() ? 0 : 1;
}
