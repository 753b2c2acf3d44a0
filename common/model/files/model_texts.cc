#include "common/model/files/model_texts.h"

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "google/protobuf/stubs/common.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr char kTokenizerConfig[] = "tokenizer_config.json";
constexpr char kChatTemplate[] = "chat_template.jinja";
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

absl::Status ReadTokenizerConfig(const std::string& folder, std::string* out,
                                 SideFiles* side_files) {
  ASSIGN_OR_RETURN(std::string text, ReadText(folder, kTokenizerConfig, false));
  ASSIGN_OR_RETURN(json config, ReadObject(folder, kTokenizerConfig, text));
  ASSIGN_OR_RETURN(std::string chat, ReadText(folder, kChatTemplate, false));
  ASSIGN_OR_RETURN(const std::string map_text, ReadText(folder, kSpecialTokens, false));
  ASSIGN_OR_RETURN(const json map, ReadObject(folder, kSpecialTokens, map_text));
  bool changed = !chat.empty();
  if (!chat.empty()) config["chat_template"] = chat;
  for (const char* token : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const json* given = FindField(map, token);
    if (given == nullptr || FindField(config, token) != nullptr) continue;
    config[token] = *given;
    changed = true;
  }
  if (!changed) {
    *out = std::move(text);
    return absl::OkStatus();
  }
  *out = config.dump();
  // An empty text here says that there is no such file.
  (*side_files)[kTokenizerConfig] = std::move(text);
  if (!chat.empty()) (*side_files)[kChatTemplate] = std::move(chat);
  return absl::OkStatus();
}

absl::Status CheckSize(const std::string& folder, const WeightManifest& manifest) {
  if (manifest.ByteSizeLong() <= kMaxTextBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(folder, ": config and tokenizer files take ",
                                                 manifest.ByteSizeLong(),
                                                 " bytes together; the limit is ", kMaxTextBytes));
}

}  // namespace

absl::Status ReadModelTexts(const std::string& folder, WeightManifest* manifest) {
  ASSIGN_OR_RETURN(*manifest->mutable_config_json(), ReadText(folder, "config.json", true));
  constexpr char kGeneration[] = "generation_config.json";
  ASSIGN_OR_RETURN(std::string generation, ReadText(folder, kGeneration, false));
  RETURN_IF_ERROR(ReadObject(folder, kGeneration, generation).status());
  manifest->set_generation_config_json(std::move(generation));
  return CheckSize(folder, *manifest);
}

bool HasTokenizer(const std::string& folder) {
  std::error_code error;
  return std::filesystem::exists(folder + "/tokenizer.json", error) ||
         std::filesystem::exists(folder + "/tokenizer.model", error);
}

absl::Status ReadTokenizerTexts(const std::string& folder, WeightManifest* manifest,
                                SideFiles* side_files) {
  ASSIGN_OR_RETURN(*manifest->mutable_tokenizer_model(), ReadTokenizerModel(folder));
  ASSIGN_OR_RETURN(*manifest->mutable_tokenizer_json(),
                   ReadText(folder, "tokenizer.json", manifest->tokenizer_model().empty()));
  RETURN_IF_ERROR(
      ReadTokenizerConfig(folder, manifest->mutable_tokenizer_config_json(), side_files));
  return CheckSize(folder, *manifest);
}

}  // namespace reckon
