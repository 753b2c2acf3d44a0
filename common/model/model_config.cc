#include "common/model/model_config.h"

#include <algorithm>
#include <cmath>

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

absl::Status Unsupported(absl::string_view field, absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat("config.json: ", field, ": ", what));
}

absl::Status RequirePositive(const nlohmann::json& json, const char* field, double* value) {
  if (!json.contains(field)) return Bad(field, "missing");
  return Positive(json, field, value);
}

// rope_theta with rope_scaling beside it, or both in rope_parameters (transformers 5).
absl::Status ParseRope(const nlohmann::json& json, RopeSettings* rope) {
  RETURN_IF_ERROR(Positive(json, "rope_theta", &rope->theta));
  const char* field = json.contains("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* given = FindField(json, field);
  if (given == nullptr) return absl::OkStatus();
  if (!given->is_object()) return Bad(field, "must be an object");
  RETURN_IF_ERROR(Positive(*given, "rope_theta", &rope->theta));
  ASSIGN_OR_RETURN(std::string type, GetStringOr(*given, "type", "default"));
  ASSIGN_OR_RETURN(type, GetStringOr(*given, "rope_type", type));
  if (type == "default") return absl::OkStatus();
  if (type == "linear") {
    rope->scaling = RopeSettings::kLinear;
    return RequirePositive(*given, "factor", &rope->factor);
  }
  if (type != "llama3") {
    return Unsupported(absl::StrCat(field, ".rope_type"),
                       "another scaling than default, linear and llama3 is not supported");
  }
  rope->scaling = RopeSettings::kLlama3;
  RETURN_IF_ERROR(RequirePositive(*given, "factor", &rope->factor));
  RETURN_IF_ERROR(RequirePositive(*given, "low_freq_factor", &rope->low_freq_factor));
  RETURN_IF_ERROR(RequirePositive(*given, "high_freq_factor", &rope->high_freq_factor));
  RETURN_IF_ERROR(
      RequirePositive(*given, "original_max_position_embeddings", &rope->original_max_positions));
  if (rope->high_freq_factor <= rope->low_freq_factor) {
    return Bad("high_freq_factor", "must be above low_freq_factor");
  }
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
  const std::string family = type->get<std::string>();
  if (family != "llama" && family != "qwen2" && family != "qwen3") {
    return Unsupported("model_type", "only llama, qwen2 and qwen3 are supported");
  }
  for (const char* field : {"attention_bias", "mlp_bias", "use_sliding_window"}) {
    if (IsTrue(json, field)) return Unsupported(field, "true is not supported");
  }
  ASSIGN_OR_RETURN(std::string activation, GetStringOr(json, "hidden_act", "silu"));
  if (activation != "silu") return Unsupported("hidden_act", "only silu is supported");
  if (const nlohmann::json* kinds = FindField(json, "layer_types")) {
    for (const nlohmann::json& kind : *kinds) {
      if (kind != "full_attention") {
        return Unsupported("layer_types", "only full_attention is supported");
      }
    }
  }
  ModelConfig config;
  config.qkv_bias = family == "qwen2";
  config.qk_norm = family == "qwen3";
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
  RETURN_IF_ERROR(ParseRope(json, &config.rope));
  config.tie_word_embeddings = IsTrue(json, "tie_word_embeddings");
  return config;
}

std::vector<float> ModelConfig::RopeFrequencies() const {
  std::vector<float> out(head_dim / 2);
  for (int64_t d = 0; d < head_dim / 2; ++d) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(d) / head_dim);
    if (rope.scaling == RopeSettings::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeSettings::kLlama3) {
      // How many turns fit into the original context.
      const double turns = rope.original_max_positions * frequency / (2 * M_PI);
      const double kept = std::clamp(
          (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0,
          1.0);
      frequency *= kept + (1 - kept) / rope.factor;
    }
    out[d] = static_cast<float>(frequency);
  }
  return out;
}

}  // namespace reckon
