#include "common/model/config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/config_fields.h"
#include "common/model/families.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr int64_t kMaxLayers = 1024;  // a layer takes memory before its weights are known to exist

// Reads rope_theta and rope_scaling or, since transformers 5, rope_parameters with both.
absl::Status ParseRope(const nlohmann::json& json, RopeSettings* rope) {
  RETURN_IF_ERROR(config_fields::Positive(json, "rope_theta", &rope->theta));
  const char* field =
      FindField(json, "rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* given = FindField(json, field);
  if (given == nullptr) return absl::OkStatus();
  if (!given->is_object()) return config_fields::Bad(field, "must be an object");
  RETURN_IF_ERROR(config_fields::Positive(*given, "rope_theta", &rope->theta));
  absl::StatusOr<std::string> type = GetStringOr(*given, "type", "default");
  // `rope_type` is the newer name and wins.
  if (type.ok()) type = GetStringOr(*given, "rope_type", *type);
  if (!type.ok()) return config_fields::Bad(field, type.status().message());
  if (given->contains("full_attention") || given->contains("sliding_attention")) {
    return config_fields::Unsupported(field, "one for each kind of layer is not supported");
  }
  // Dynamic scaling begins beyond the positions that the model was trained for.
  if (*type == "default" || *type == "dynamic") return absl::OkStatus();
  if (*type == "linear") {
    rope->scaling = RopeSettings::kLinear;
    return config_fields::RequirePositive(*given, "factor", &rope->factor);
  }
  if (*type != "llama3") {
    return config_fields::Unsupported(absl::StrCat(field, ".rope_type"),
                                      "only default, dynamic, linear and llama3 are supported");
  }
  rope->scaling = RopeSettings::kLlama3;
  RETURN_IF_ERROR(config_fields::RequirePositive(*given, "factor", &rope->factor));
  RETURN_IF_ERROR(
      config_fields::RequirePositive(*given, "low_freq_factor", &rope->low_freq_factor));
  RETURN_IF_ERROR(
      config_fields::RequirePositive(*given, "high_freq_factor", &rope->high_freq_factor));
  RETURN_IF_ERROR(config_fields::RequirePositive(*given, "original_max_position_embeddings",
                                                 &rope->original_max_positions));
  if (rope->high_freq_factor <= rope->low_freq_factor) {
    return config_fields::Bad("high_freq_factor", "must be above low_freq_factor");
  }
  return absl::OkStatus();
}

TensorEntry Entry(const std::string& name, std::vector<int64_t> shape) {
  TensorEntry entry;
  entry.set_name(name);
  for (int64_t n : shape) entry.add_shape(n);
  return entry;
}

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Parse(absl::string_view config_json) {
  auto parsed = ParseJson(config_json);
  if (!parsed.ok()) return config_fields::Bad("file", parsed.status().message());
  const nlohmann::json& json = *parsed;
  if (!json.is_object()) return config_fields::Bad("file", "must be an object");
  ASSIGN_OR_RETURN(const Family family, FamilyOf(json));
  RETURN_IF_ERROR(CheckOptions(json, family));
  ModelConfig config;
  config.qkv_bias = family.qkv_bias;
  // The others ignore the field: Qwen2 always has these biases.
  if (family.name == "seed_oss" && json.contains("attention_bias")) {
    ASSIGN_OR_RETURN(config.qkv_bias, config_fields::IsTrue(json, "attention_bias"));
  }
  config.qk_norm = family.qk_norm;
  config.rms_norm_eps = 1e-6;  // of transformers' classes
  config.rope.theta = family.theta;
  ASSIGN_OR_RETURN(config.vocab_size, config_fields::Dimension(json, "vocab_size"));
  ASSIGN_OR_RETURN(config.hidden_size, config_fields::Dimension(json, "hidden_size"));
  ASSIGN_OR_RETURN(config.intermediate_size, config_fields::Dimension(json, "intermediate_size"));
  ASSIGN_OR_RETURN(config.num_layers,
                   config_fields::Dimension(json, "num_hidden_layers", kMaxLayers));
  ASSIGN_OR_RETURN(config.num_heads, config_fields::Dimension(json, "num_attention_heads"));
  // Without the field, as in Llama 1: multi-head attention.
  config.num_kv_heads = config.num_heads;
  if (FindField(json, "num_key_value_heads") != nullptr) {
    ASSIGN_OR_RETURN(config.num_kv_heads, config_fields::Dimension(json, "num_key_value_heads"));
  }
  ASSIGN_OR_RETURN(config.max_positions, config_fields::Dimension(json, "max_position_embeddings"));
  if (config.num_heads % config.num_kv_heads != 0) {
    return config_fields::Bad("num_key_value_heads", "must divide num_attention_heads");
  }
  if (FindField(json, "head_dim") != nullptr) {
    ASSIGN_OR_RETURN(config.head_dim, config_fields::Dimension(json, "head_dim"));
  } else if (!json.contains("head_dim") && family.head_dim > 0) {
    config.head_dim = family.head_dim;
  } else {
    if (config.hidden_size % config.num_heads != 0) {
      return config_fields::Bad("hidden_size", "must be a multiple of num_attention_heads");
    }
    config.head_dim = config.hidden_size / config.num_heads;
  }
  // Even, because RoPE rotates pairs of lanes and bf16 kernels read pairs of numbers; bounded,
  // because the portable kernel keeps one head's sums on its stack.
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    return config_fields::Bad("head_dim", absl::StrCat("must be even and at most ", kMaxHeadDim));
  }
  // A row of activations is a left operand of a bf16 product as it is, without padding (gemm.h: lda
  // >= padded_k).
  if (config.hidden_size % 2 != 0) return config_fields::Bad("hidden_size", "must be even");
  if (config.intermediate_size % 2 != 0)
    return config_fields::Bad("intermediate_size", "must be even");
  RETURN_IF_ERROR(config_fields::Positive(json, "rms_norm_eps", &config.rms_norm_eps));
  RETURN_IF_ERROR(ParseRope(json, &config.rope));
  RETURN_IF_ERROR(ParseWindow(json, family, &config));
  if (family.name == "smollm3") RETURN_IF_ERROR(ParseNoRope(json, &config));
  config.tie_word_embeddings = family.tied;
  if (FindField(json, "tie_word_embeddings") != nullptr) {
    ASSIGN_OR_RETURN(config.tie_word_embeddings,
                     config_fields::IsTrue(json, "tie_word_embeddings"));
  }
  return config;
}

bool ModelConfig::UsesRope(int64_t layer) const {
  return !std::binary_search(no_rope.begin(), no_rope.end(), layer);
}

std::vector<float> ModelConfig::RopeFrequencies() const {
  std::vector<float> out(head_dim / 2);
  for (int64_t d = 0; d < head_dim / 2; ++d) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(d) / head_dim);
    if (rope.scaling == RopeSettings::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeSettings::kLlama3) {
      // Full rotations within the original context.
      const double turns = rope.original_max_positions * frequency / (2 * M_PI);
      // kept = 1 at high_freq_factor turns or more (short wavelengths stay), 0 at low_freq_factor
      // or fewer (long ones are divided by `factor`), linear between.
      const double kept = std::clamp(
          (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0,
          1.0);
      frequency *= kept + (1 - kept) / rope.factor;
    }
    out[d] = static_cast<float>(frequency);
  }
  return out;
}

std::vector<TensorEntry> ModelConfig::Tensors(int64_t first_layer) const {
  const int64_t q = num_heads * head_dim, kv = num_kv_heads * head_dim;
  std::vector<TensorEntry> out;
  if (first_layer == 0) {
    out.push_back(Entry("model.embed_tokens.weight", {vocab_size, hidden_size}));
  }
  for (int64_t i = first_layer; i < num_layers; ++i) {
    const std::string p = absl::StrCat("model.layers.", i, ".");
    out.push_back(Entry(p + "input_layernorm.weight", {hidden_size}));
    for (const auto& [name, size] : {std::pair("q", q), std::pair("k", kv), std::pair("v", kv)}) {
      const std::string projection = absl::StrCat(p, "self_attn.", name, "_proj");
      out.push_back(Entry(projection + ".weight", {size, hidden_size}));
      if (qkv_bias) out.push_back(Entry(projection + ".bias", {size}));
    }
    if (qk_norm) {
      out.push_back(Entry(p + "self_attn.q_norm.weight", {head_dim}));
      out.push_back(Entry(p + "self_attn.k_norm.weight", {head_dim}));
    }
    out.push_back(Entry(p + "self_attn.o_proj.weight", {hidden_size, q}));
    out.push_back(Entry(p + "post_attention_layernorm.weight", {hidden_size}));
    out.push_back(Entry(p + "mlp.gate_proj.weight", {intermediate_size, hidden_size}));
    out.push_back(Entry(p + "mlp.up_proj.weight", {intermediate_size, hidden_size}));
    out.push_back(Entry(p + "mlp.down_proj.weight", {hidden_size, intermediate_size}));
  }
  out.push_back(Entry("model.norm.weight", {hidden_size}));
  if (first_layer == 0 && !tie_word_embeddings) {
    out.push_back(Entry("lm_head.weight", {vocab_size, hidden_size}));
  }
  return out;
}

}  // namespace reckon
