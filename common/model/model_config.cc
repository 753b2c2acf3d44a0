#include "common/model/model_config.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr int64_t kMaxDimension = 1 << 24;

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", field, ": ", what));
}

absl::StatusOr<int64_t> Dimension(const nlohmann::json& json, const char* field) {
  auto it = json.find(field);
  if (it == json.end()) return Bad(field, "missing");
  if (!it->is_number_integer()) return Bad(field, "must be a whole number");
  int64_t value = it->get<int64_t>();
  if (value < 1 || value > kMaxDimension) {
    return Bad(field, absl::StrCat(value, " is not in 1 .. ", kMaxDimension));
  }
  return value;
}

absl::Status Positive(const nlohmann::json& json, const char* field, double* value) {
  auto it = json.find(field);
  if (it == json.end()) return absl::OkStatus();
  if (!it->is_number() || !(it->get<double>() > 0)) return Bad(field, "must be a positive number");
  *value = it->get<double>();
  return absl::OkStatus();
}

bool IsTrue(const nlohmann::json& json, const char* field) {
  auto it = json.find(field);
  return it != json.end() && it->is_boolean() && it->get<bool>();
}

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Parse(absl::string_view config_json) {
  auto parsed = ParseJson(config_json);
  if (!parsed.ok()) return Bad("file", parsed.status().message());
  const nlohmann::json& json = *parsed;
  if (!json.is_object()) return Bad("file", "must be an object");
  auto type = json.find("model_type");
  if (type == json.end() || !type->is_string()) return Bad("model_type", "missing");
  if (type->get<std::string>() != "llama") {
    return absl::UnimplementedError(absl::StrCat(
        "config.json: model_type: '", type->get<std::string>(), "' is not supported; 'llama' is"));
  }
  for (const char* field : {"attention_bias", "mlp_bias"}) {
    if (IsTrue(json, field)) {
      return absl::UnimplementedError(absl::StrCat("config.json: ", field, ": not supported"));
    }
  }
  if (auto scaling = json.find("rope_scaling"); scaling != json.end() && !scaling->is_null()) {
    return absl::UnimplementedError("config.json: rope_scaling: not supported");
  }
  ModelConfig config;
  ASSIGN_OR_RETURN(config.vocab_size, Dimension(json, "vocab_size"));
  ASSIGN_OR_RETURN(config.hidden_size, Dimension(json, "hidden_size"));
  ASSIGN_OR_RETURN(config.intermediate_size, Dimension(json, "intermediate_size"));
  ASSIGN_OR_RETURN(config.num_layers, Dimension(json, "num_hidden_layers"));
  ASSIGN_OR_RETURN(config.num_heads, Dimension(json, "num_attention_heads"));
  config.num_kv_heads = config.num_heads;
  if (json.contains("num_key_value_heads")) {
    ASSIGN_OR_RETURN(config.num_kv_heads, Dimension(json, "num_key_value_heads"));
  }
  ASSIGN_OR_RETURN(config.max_positions, Dimension(json, "max_position_embeddings"));
  if (config.num_heads % config.num_kv_heads != 0) {
    return Bad("num_key_value_heads", "must divide num_attention_heads");
  }
  if (json.contains("head_dim") && !json["head_dim"].is_null()) {
    ASSIGN_OR_RETURN(config.head_dim, Dimension(json, "head_dim"));
  } else {
    if (config.hidden_size % config.num_heads != 0) {
      return Bad("hidden_size", "must be a multiple of num_attention_heads");
    }
    config.head_dim = config.hidden_size / config.num_heads;
  }
  if (config.head_dim % 2 != 0 || config.head_dim > 256) {
    return Bad("head_dim", "must be even and at most 256");
  }
  if (config.hidden_size % 2 != 0) return Bad("hidden_size", "must be even");
  if (config.intermediate_size % 2 != 0) return Bad("intermediate_size", "must be even");
  RETURN_IF_ERROR(Positive(json, "rms_norm_eps", &config.rms_norm_eps));
  RETURN_IF_ERROR(Positive(json, "rope_theta", &config.rope_theta));
  config.tie_word_embeddings = IsTrue(json, "tie_word_embeddings");
  return config;
}

}  // namespace reckon
