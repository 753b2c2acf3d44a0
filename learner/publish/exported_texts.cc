#include "learner/publish/exported_texts.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

using Json = nlohmann::ordered_json;

// Applies `change` to a JSON text; formats it anew only if that changes something.
absl::Status Edit(const std::string& name, std::string* text,
                  const std::function<void(Json*)>& change) {
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": must be a JSON object"));
  }
  Json changed = json;
  change(&changed);
  if (changed == json) return absl::OkStatus();
  *text = changed.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return absl::OkStatus();
}

bool Has(const Json& ends, uint32_t id) {
  if (ends.is_array()) return std::find(ends.begin(), ends.end(), Json(id)) != ends.end();
  return ends == Json(id);
}

// `first` before the ends that are there; one end alone is a number.
Json WithFirst(uint32_t first, const Json& ends) {
  Json out = Json::array({first});
  for (const Json& id : ends.is_array() ? ends : Json::array({ends})) {
    if (id.is_number_integer() && id != Json(first)) out.push_back(id);
  }
  return out.size() == 1 ? out[0] : out;
}

void SetDtype(const std::string& dtype, Json* config) {
  bool found = false;
  for (const char* key : {"torch_dtype", "dtype"}) {  // transformers 4, transformers 5
    if (!config->contains(key)) continue;
    (*config)[key] = dtype;
    found = true;
  }
  if (!found) (*config)["torch_dtype"] = dtype;
}

void SetConfigEnd(uint32_t end, Json* config) {
  Json& ends = (*config)["eos_token_id"];
  if (Has(ends, end)) return;
  ends = ends.is_array() ? WithFirst(end, ends) : Json(end);
}

// What transformers makes of config.json where there is no generation_config.json.
std::string GenerationOf(const std::string& config_json) {
  const Json config = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  Json out = Json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.is_object() && config.contains(key)) out[key] = config[key];
  }
  return out.dump();
}

void SetTokenizerEnd(const std::string& token, Json* config) {
  Json& end = (*config)["eos_token"];
  if (end.is_object()) {
    end["content"] = token;
  } else {
    end = token;
  }
}

}  // namespace

absl::Status SetTrainedFacts(const TrainedFacts& facts, FolderTexts* texts, SideFiles* side_files) {
  std::string* generation = texts->mutable_generation_config_json();
  if (generation->empty() && !facts.end_ids.empty()) {
    *generation = GenerationOf(texts->config_json());
  }
  RETURN_IF_ERROR(Edit("config.json", texts->mutable_config_json(), [&](Json* config) {
    SetDtype(facts.dtype, config);
    if (!facts.end_ids.empty()) SetConfigEnd(facts.end_ids.front(), config);
  }));
  if (facts.end_ids.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(Edit("generation_config.json", generation, [&](Json* config) {
    Json& ends = (*config)["eos_token_id"];
    if (ends.is_null()) ends = Json(facts.end_ids);
    if (!Has(ends, facts.end_ids.front()) || ends.size() == 1) {
      ends = WithFirst(facts.end_ids.front(), ends);
    }
  }));
  if (facts.end_token.empty()) return absl::OkStatus();
  auto set = [&](Json* config) { SetTokenizerEnd(facts.end_token, config); };
  // The file as it is on disk, if it differs from what the manifest has.
  auto original = side_files->find("tokenizer_config.json");
  std::string* tokenizer =
      original != side_files->end() ? &original->second : texts->mutable_tokenizer_config_json();
  if (!tokenizer->empty()) RETURN_IF_ERROR(Edit("tokenizer_config.json", tokenizer, set));
  auto map = side_files->find("special_tokens_map.json");
  if (map == side_files->end()) return absl::OkStatus();
  return Edit(map->first, &map->second, set);
}

}  // namespace reckon
