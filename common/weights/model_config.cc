#include "common/weights/model_config.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr int64_t kMaxDimension = 1 << 24;
constexpr int64_t kMaxLayers = 1024;  // each costs memory before its weights are looked for
// Factors outside make angles that are no numbers.
constexpr double kMinFactor = 1e-12, kMaxFactor = 1e12;

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", field, ": ", what));
}

absl::StatusOr<int64_t> Dimension(const nlohmann::json& json, const char* field,
                                  int64_t max = kMaxDimension) {
  auto it = json.find(field);
  if (it == json.end()) return Bad(field, "missing");
  if (!it->is_number_integer()) return Bad(field, "must be a whole number");
  absl::StatusOr<int64_t> value = GetInt(json, field);  // an error is a number above 2^63
  if (!value.ok() || *value < 1 || *value > max) {
    return Bad(field, absl::StrCat(it->dump(), " is not in 1 .. ", max));
  }
  return value;
}

absl::Status Positive(const nlohmann::json& json, const char* field, double* value) {
  auto it = json.find(field);
  if (it == json.end()) return absl::OkStatus();
  if (!it->is_number() || !(it->get<double>() >= kMinFactor && it->get<double>() <= kMaxFactor)) {
    return Bad(field, "must be a positive number, 1e-12 to 1e12");
  }
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
  absl::StatusOr<std::string> type = GetStringOr(*given, "type", "default");
  if (type.ok()) type = GetStringOr(*given, "rope_type", *type);
  if (!type.ok()) return Bad(field, type.status().message());
  if (*type == "default") return absl::OkStatus();
  if (*type == "linear") {
    rope->scaling = RopeSettings::kLinear;
    return RequirePositive(*given, "factor", &rope->factor);
  }
  if (*type != "llama3") {
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

absl::StatusOr<bool> IsTrue(const nlohmann::json& json, const char* field) {
  absl::StatusOr<bool> value = GetBoolOr(json, field, false);
  if (!value.ok()) return Bad(field, "must be true or false");
  return value;
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
    ASSIGN_OR_RETURN(const bool given, IsTrue(json, field));
    if (given) return Unsupported(field, "true is not supported");
  }
  const nlohmann::json* activation = FindField(json, "hidden_act");
  if (activation != nullptr && *activation != "silu")
    return Unsupported("hidden_act", "only silu is supported");
  if (const nlohmann::json* kinds = FindField(json, "layer_types")) {
    if (!kinds->is_array()) return Bad("layer_types", "must be an array");
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
  ASSIGN_OR_RETURN(config.num_layers, Dimension(json, "num_hidden_layers", kMaxLayers));
  ASSIGN_OR_RETURN(config.num_heads, Dimension(json, "num_attention_heads"));
  config.num_kv_heads = config.num_heads;
  if (FindField(json, "num_key_value_heads") != nullptr) {
    ASSIGN_OR_RETURN(config.num_kv_heads, Dimension(json, "num_key_value_heads"));
  }
  ASSIGN_OR_RETURN(config.max_positions, Dimension(json, "max_position_embeddings"));
  if (config.num_heads % config.num_kv_heads != 0) {
    return Bad("num_key_value_heads", "must divide num_attention_heads");
  }
  if (FindField(json, "head_dim") != nullptr) {
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
  ASSIGN_OR_RETURN(config.tie_word_embeddings, IsTrue(json, "tie_word_embeddings"));
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
