#include "common/model/families.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/config_fields.h"

namespace reckon {
namespace {

constexpr Family kFamilies[] = {
    {.name = "llama"},
    {.name = "mistral", .window = 4096, .slides = true},
    {.name = "ministral"},
    {.name = "cwm", .theta = 1e6, .head_dim = 128, .window = 8192, .slides = true},
    {.name = "qwen2", .qkv_bias = true},
    {.name = "qwen3", .qk_norm = true, .head_dim = 128},
    {.name = "smollm3", .tied = true, .theta = 2e6},
    {.name = "seed_oss", .qkv_bias = true, .head_dim = 128}};

}  // namespace

absl::StatusOr<Family> FamilyOf(const nlohmann::json& json) {
  const nlohmann::json* type = FindField(json, "model_type");
  if (type == nullptr || !type->is_string()) return config_fields::Bad("model_type", "missing");
  std::string known;
  for (const Family& family : kFamilies) {
    if (*type == std::string(family.name)) return family;
    absl::StrAppend(&known, known.empty() ? "" : ", ", family.name);
  }
  return config_fields::Unsupported("model_type",
                                    absl::StrCat("'", Printable(type->get<std::string>()),
                                                 "' is not supported; these are: ", known));
}

absl::Status CheckOptions(const nlohmann::json& json, const Family& family) {
  for (const char* field : {"mlp_bias", "attention_out_bias"}) {
    ASSIGN_OR_RETURN(const bool given, config_fields::IsTrue(json, field));
    if (given) return config_fields::Unsupported(field, "true is not supported");
  }
  ASSIGN_OR_RETURN(const bool bias, config_fields::IsTrue(json, "attention_bias"));
  if (bias && !family.qkv_bias)
    return config_fields::Unsupported("attention_bias", "true is not supported");
  const nlohmann::json* activation = FindField(json, "hidden_act");
  if (activation != nullptr && *activation != "silu") {
    return config_fields::Unsupported("hidden_act", "only silu is supported");
  }
  const nlohmann::json* rotated = FindField(json, "partial_rotary_factor");
  if (rotated != nullptr && *rotated != 1.0) {
    return config_fields::Unsupported("partial_rotary_factor", "only 1 is supported");
  }
  if (FindField(json, "quantization_config") != nullptr) {
    return config_fields::Unsupported(
        "quantization_config",
        "quantised weights are not supported; use the model in BF16, F16 or F32");
  }
  return absl::OkStatus();
}

absl::Status ParseWindow(const nlohmann::json& json, const Family& family, ModelConfig* config) {
  bool slides = family.slides;
  ASSIGN_OR_RETURN(const bool used, config_fields::IsTrue(json, "use_sliding_window"));
  slides |= used;
  if (const nlohmann::json* kinds = FindField(json, "layer_types")) {
    if (!kinds->is_array()) return config_fields::Bad("layer_types", "must be an array");
    for (const nlohmann::json& kind : *kinds) {
      if (kind != "full_attention" && kind != "sliding_attention") {
        return config_fields::Unsupported(
            "layer_types", "only full_attention and sliding_attention are supported");
      }
      slides |= kind == "sliding_attention";
    }
  }
  if (!slides) return absl::OkStatus();
  int64_t window = family.window;
  if (json.contains("sliding_window")) {
    if (FindField(json, "sliding_window") == nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(window, config_fields::Dimension(json, "sliding_window"));
  }
  if (window == 0) return config_fields::Bad("sliding_window", "missing");
  config->max_positions = std::min(config->max_positions, window);
  return absl::OkStatus();
}

absl::Status ParseNoRope(const nlohmann::json& json, ModelConfig* config) {
  const nlohmann::json* uses = FindField(json, "no_rope_layers");
  if (uses == nullptr) {
    int64_t interval = 4;
    if (FindField(json, "no_rope_layer_interval") != nullptr) {
      ASSIGN_OR_RETURN(interval, config_fields::Dimension(json, "no_rope_layer_interval"));
    }
    for (int64_t i = interval - 1; i < config->num_layers; i += interval) {
      config->no_rope.push_back(i);
    }
    return absl::OkStatus();
  }
  if (!uses->is_array() || static_cast<int64_t>(uses->size()) < config->num_layers) {
    return config_fields::Bad("no_rope_layers", "must be an array with a number for each layer");
  }
  for (int64_t i = 0; i < config->num_layers; ++i) {
    if ((*uses)[i] == 0) {
      config->no_rope.push_back(i);
    } else if ((*uses)[i] != 1) {
      return config_fields::Bad("no_rope_layers", "must be an array of 0 and 1");
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
