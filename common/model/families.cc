#include "common/model/families.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/config_fields.h"

namespace reckon {

using config_fields::Bad;
using config_fields::Dimension;
using config_fields::IsTrue;
using config_fields::Unsupported;

namespace {

constexpr Family kFamilies[] = {
    {.name = "llama", .bias_of_output = true, .reads_bias = true, .reads_mlp_bias = true},
    {.name = "mistral", .window = 4096, .slides = true},
    {.name = "ministral"},
    {.name = "cwm", .theta = 1e6, .head_dim = 128, .window = 8192, .slides = true},
    {.name = "qwen2", .qkv_bias = true},
    {.name = "qwen3", .bias_of_output = true, .reads_bias = true, .qk_norm = true, .head_dim = 128},
    {.name = "smollm3",
     .bias_of_output = true,
     .reads_bias = true,
     .reads_mlp_bias = true,
     .tied = true,
     .theta = 2e6},
    {.name = "seed_oss",
     .qkv_bias = true,
     .reads_bias = true,
     .reads_mlp_bias = true,
     .head_dim = 128},
    {.name = "phi3", .fused = true, .eps = 1e-5, .slides = true}};

}  // namespace

absl::StatusOr<Family> FamilyOf(const nlohmann::json& json) {
  const nlohmann::json* type = FindField(json, "model_type");
  if (type == nullptr || !type->is_string()) return Bad("model_type", "missing");
  std::string known;
  for (const Family& family : kFamilies) {
    if (*type == std::string(family.name)) return family;
    absl::StrAppend(&known, known.empty() ? "" : ", ", family.name);
  }
  return Unsupported("model_type", absl::StrCat("'", Printable(type->get<std::string>()),
                                                "' is not supported; these are: ", known));
}

absl::Status CheckWholeRotation(const nlohmann::json& json) {
  const nlohmann::json* rotated = FindField(json, "partial_rotary_factor");
  if (rotated == nullptr || *rotated == 1.0) return absl::OkStatus();
  return Unsupported("partial_rotary_factor", "only 1 is supported");
}

absl::Status CheckOptions(const nlohmann::json& json) {
  const nlohmann::json* activation = FindField(json, "hidden_act");
  if (activation != nullptr && *activation != "silu") {
    return Unsupported("hidden_act", "only silu is supported");
  }
  RETURN_IF_ERROR(CheckWholeRotation(json));
  if (FindField(json, "quantization_config") != nullptr) {
    return Unsupported("quantization_config",
                       "quantised weights are not supported; use the model in BF16, F16 or F32");
  }
  return absl::OkStatus();
}

absl::Status ParseBiases(const nlohmann::json& json, const Family& family, ModelConfig* config) {
  config->qkv_bias = family.qkv_bias;
  if (family.reads_bias && json.contains("attention_bias")) {
    ASSIGN_OR_RETURN(config->qkv_bias, IsTrue(json, "attention_bias"));
  }
  config->output_bias = family.bias_of_output && config->qkv_bias;
  if (family.name == "seed_oss") {
    ASSIGN_OR_RETURN(config->output_bias, IsTrue(json, "attention_out_bias"));
  }
  if (family.reads_mlp_bias) {
    ASSIGN_OR_RETURN(config->mlp_bias, IsTrue(json, "mlp_bias"));
  }
  return absl::OkStatus();
}

absl::Status ParseWindow(const nlohmann::json& json, const Family& family, ModelConfig* config) {
  bool slides =
      family.slides && (family.window > 0 || FindField(json, "sliding_window") != nullptr);
  ASSIGN_OR_RETURN(const bool used, IsTrue(json, "use_sliding_window"));
  slides |= used;
  if (const nlohmann::json* kinds = FindField(json, "layer_types")) {
    if (!kinds->is_array()) return Bad("layer_types", "must be an array");
    for (const nlohmann::json& kind : *kinds) {
      if (kind != "full_attention" && kind != "sliding_attention") {
        return Unsupported("layer_types",
                           "only full_attention and sliding_attention are supported");
      }
      slides |= kind == "sliding_attention";
    }
  }
  if (!slides) return absl::OkStatus();
  int64_t window = family.window;
  if (json.contains("sliding_window")) {
    if (FindField(json, "sliding_window") == nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(window, Dimension(json, "sliding_window"));
  }
  if (window == 0) return Bad("sliding_window", "missing");
  config->max_positions = std::min(config->max_positions, window);
  return absl::OkStatus();
}

absl::Status ParseNoRope(const nlohmann::json& json, ModelConfig* config) {
  const nlohmann::json* uses = FindField(json, "no_rope_layers");
  if (uses == nullptr) {
    int64_t interval = 4;
    if (FindField(json, "no_rope_layer_interval") != nullptr) {
      ASSIGN_OR_RETURN(interval, Dimension(json, "no_rope_layer_interval"));
    }
    for (int64_t i = interval - 1; i < config->num_layers; i += interval) {
      config->no_rope.push_back(i);
    }
    return absl::OkStatus();
  }
  if (!uses->is_array() || static_cast<int64_t>(uses->size()) < config->num_layers) {
    return Bad("no_rope_layers", "must be an array with a number for each layer");
  }
  for (int64_t i = 0; i < config->num_layers; ++i) {
    if ((*uses)[i] == 0) {
      config->no_rope.push_back(i);
    } else if ((*uses)[i] != 1) {
      return Bad("no_rope_layers", "must be an array of 0 and 1");
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
