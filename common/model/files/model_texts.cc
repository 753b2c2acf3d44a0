#include "common/model/files/model_texts.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "google/protobuf/stubs/common.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kTokenizerConfig[] = "tokenizer_config.json";
constexpr char kChatTemplate[] = "chat_template.jinja";
constexpr char kProcessorTemplate[] = "chat_template.json";
constexpr char kTemplateFolder[] = "additional_chat_templates";
constexpr size_t kMaxTemplates = 100;  // named in an error
constexpr char kSpecialTokens[] = "special_tokens_map.json";

bool ValidUtf8(absl::string_view text) {
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(), text.size());
}

absl::StatusOr<std::string> ReadText(const std::string& folder, const char* name, bool required) {
  std::string path = absl::StrCat(folder, "/", name);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxTextBytes);
  if (!text.ok()) {
    if (!required && absl::IsNotFound(text.status())) return std::string();
    return text.status();
  }
  if (!ValidUtf8(*text)) return absl::InvalidArgumentError(path + ": not valid UTF-8");
  return text;
}

absl::StatusOr<json> ReadObject(const std::string& folder, const char* name,
                                const std::string& text) {
  absl::StatusOr<json> object = ParseJson(text.empty() ? "{}" : text);
  if (object.ok() && !object->is_object()) object = absl::InvalidArgumentError("must be an object");
  if (object.ok()) return object;
  return absl::InvalidArgumentError(
      absl::StrCat(folder, "/", name, ": ", object.status().message()));
}

absl::StatusOr<std::string> ReadTokenizerModel(const std::string& folder) {
  absl::StatusOr<std::string> bytes = ReadFile(folder + "/tokenizer.model", kMaxTextBytes);
  return absl::IsNotFound(bytes.status()) ? std::string() : bytes;
}

// The chat_template of the folder's template files; null if there are none. Of those that are not
// the default the names are enough.
absl::StatusOr<json> ReadTemplateFiles(const std::string& folder) {
  ASSIGN_OR_RETURN(std::string chosen, ReadText(folder, kChatTemplate, false));
  json names = json::array();
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(absl::StrCat(folder, "/", kTemplateFolder), error)) {
    const std::string file = entry.path().filename().string();
    absl::string_view name = file;
    if (!absl::ConsumeSuffix(&name, ".jinja") || !ValidUtf8(name)) continue;
    if (names.size() < kMaxTemplates) names.push_back({{"name", name}});
    if (name != "default") continue;
    ASSIGN_OR_RETURN(chosen,
                     ReadText(folder, absl::StrCat(kTemplateFolder, "/", file).c_str(), true));
  }
  if (!chosen.empty()) return json(std::move(chosen));
  std::sort(names.begin(), names.end());
  return names.empty() ? json() : names;
}

absl::Status JoinChatTemplate(const std::string& folder, json* config) {
  ASSIGN_OR_RETURN(json of_files, ReadTemplateFiles(folder));
  if (of_files.is_null() && FindField(*config, "chat_template") == nullptr) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(folder, kProcessorTemplate, false));
    ASSIGN_OR_RETURN(const json object, ReadObject(folder, kProcessorTemplate, text));
    if (const json* given = FindField(object, "chat_template")) of_files = *given;
  }
  if (!of_files.is_null()) (*config)["chat_template"] = std::move(of_files);
  return absl::OkStatus();
}

absl::Status JoinSpecialTokens(const std::string& folder, json* config) {
  if (config->contains("added_tokens_decoder")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, ReadText(folder, kSpecialTokens, false));
  ASSIGN_OR_RETURN(const json map, ReadObject(folder, kSpecialTokens, text));
  config->update(map);
  return absl::OkStatus();
}

absl::Status ReadTokenizerConfig(const std::string& folder, std::string* out,
                                 SideFiles* side_files) {
  ASSIGN_OR_RETURN(std::string text, ReadText(folder, kTokenizerConfig, false));
  ASSIGN_OR_RETURN(const json own, ReadObject(folder, kTokenizerConfig, text));
  json joined = own;
  RETURN_IF_ERROR(JoinChatTemplate(folder, &joined));
  RETURN_IF_ERROR(JoinSpecialTokens(folder, &joined));
  if (joined == own) {
    *out = std::move(text);
    return absl::OkStatus();
  }
  *out = joined.dump();
  // An empty text here says that there is no such file.
  (*side_files)[kTokenizerConfig] = std::move(text);
  return absl::OkStatus();
}

absl::Status CheckSize(const std::string& folder, const FolderTexts& texts) {
  if (texts.ByteSizeLong() <= kMaxTextBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(folder, ": config and tokenizer files take ",
                                                 texts.ByteSizeLong(),
                                                 " bytes together; the limit is ", kMaxTextBytes));
}

}  // namespace

absl::Status ReadModelTexts(const std::string& folder, FolderTexts* texts) {
  ASSIGN_OR_RETURN(*texts->mutable_config_json(), ReadText(folder, "config.json", true));
  constexpr char kGeneration[] = "generation_config.json";
  ASSIGN_OR_RETURN(std::string generation, ReadText(folder, kGeneration, false));
  RETURN_IF_ERROR(ReadObject(folder, kGeneration, generation).status());
  texts->set_generation_config_json(std::move(generation));
  return CheckSize(folder, *texts);
}

bool HasTokenizer(const std::string& folder) {
  std::error_code error;
  return std::filesystem::exists(folder + "/tokenizer.json", error) ||
         std::filesystem::exists(folder + "/tokenizer.model", error);
}

void RemoveTokenizerFiles(SideFiles* side_files) {
  for (auto it = side_files->begin(); it != side_files->end();) {
    bool of_tokenizer = absl::StartsWith(it->first, absl::StrCat(kTemplateFolder, "/"));
    for (const char* name : {kTokenizerConfig, kChatTemplate, kProcessorTemplate, kSpecialTokens,
                             "added_tokens.json", "vocab.json", "merges.txt"}) {
      of_tokenizer |= it->first == name;
    }
    it = of_tokenizer ? side_files->erase(it) : std::next(it);
  }
}

absl::Status ReadTokenizerTexts(const std::string& folder, FolderTexts* texts,
                                SideFiles* side_files) {
  ASSIGN_OR_RETURN(*texts->mutable_tokenizer_model(), ReadTokenizerModel(folder));
  ASSIGN_OR_RETURN(*texts->mutable_tokenizer_json(),
                   ReadText(folder, "tokenizer.json", texts->tokenizer_model().empty()));
  RETURN_IF_ERROR(ReadTokenizerConfig(folder, texts->mutable_tokenizer_config_json(), side_files));
  return CheckSize(folder, *texts);
}

}  // namespace reckon
