#include "common/text/end_tokens.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

using nlohmann::json;

absl::StatusOr<json> Object(const char* file, const std::string& text) {
  absl::StatusOr<json> object = ParseJson(text.empty() ? "{}" : text);
  if (object.ok() && object->is_object()) return object;
  return absl::InvalidArgumentError(absl::StrCat(
      file, ": ", object.ok() ? "must be an object" : std::string(object.status().message())));
}

void Add(int64_t id, const Tokenizer& tokenizer, EndTokens* out) {
  if (id < 0 || id >= static_cast<int64_t>(tokenizer.vocab_size())) return;
  const auto token = static_cast<uint32_t>(id);
  if (std::find(out->ids.begin(), out->ids.end(), token) == out->ids.end()) {
    out->ids.push_back(token);
  }
}

// eos_token_id: a number, a list of them, or null.
absl::Status AddIds(const char* file, const std::string& text, const Tokenizer& tokenizer,
                    EndTokens* out) {
  ASSIGN_OR_RETURN(const json object, Object(file, text));
  const json* given = FindField(object, "eos_token_id");
  if (given == nullptr) return absl::OkStatus();
  for (const json& id : given->is_array() ? *given : json::array({*given})) {
    if (!id.is_number_integer()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": eos_token_id: must be a token id or a list of them"));
    }
    Add(id.get<int64_t>(), tokenizer, out);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EndTokens> FindEndTokens(const FolderTexts& model, const Tokenizer& tokenizer) {
  EndTokens out;
  RETURN_IF_ERROR(
      AddIds("generation_config.json", model.generation_config_json(), tokenizer, &out));
  RETURN_IF_ERROR(AddIds("config.json", model.config_json(), tokenizer, &out));
  ASSIGN_OR_RETURN(const json config,
                   Object("tokenizer_config.json", model.tokenizer_config_json()));
  const json* token = FindField(config, "eos_token");
  if (token != nullptr && token->is_object()) token = FindField(*token, "content");
  if (token == nullptr || !token->is_string()) return out;
  out.of_tokenizer = tokenizer.TokenId(token->get<std::string>());
  if (out.of_tokenizer.has_value()) Add(*out.of_tokenizer, tokenizer, &out);
  return out;
}

}  // namespace reckon
