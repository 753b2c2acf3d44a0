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

using config_fields::Bad;
using config_fields::Dimension;
using config_fields::IsTrue;
using config_fields::Positive;
using config_fields::RequirePositive;
using config_fields::Unsupported;

namespace {

constexpr int64_t kMaxLayers = 1024;  // a layer takes memory before its weights are known to exist

// A number that may be missing or null.
absl::Status OptionalPositive(const nlohmann::json& json, const char* field, double* value) {
  return FindField(json, field) == nullptr ? absl::OkStatus() : Positive(json, field, value);
}

// "yarn", as transformers computes it. `given`: rope_scaling.
absl::Status ParseYarn(const nlohmann::json& given, int64_t max_positions, RopeSettings* rope) {
  rope->scaling = RopeSettings::kYarn;
  rope->original_max_positions = static_cast<double>(max_positions);
  RETURN_IF_ERROR(
      OptionalPositive(given, "original_max_position_embeddings", &rope->original_max_positions));
  rope->factor = static_cast<double>(max_positions) / rope->original_max_positions;
  RETURN_IF_ERROR(OptionalPositive(given, "factor", &rope->factor));
  RETURN_IF_ERROR(OptionalPositive(given, "beta_fast", &rope->beta_fast));
  RETURN_IF_ERROR(OptionalPositive(given, "beta_slow", &rope->beta_slow));
  if (FindField(given, "truncate") != nullptr) {
    absl::StatusOr<bool> truncate = GetBool(given, "truncate");
    if (!truncate.ok()) return Bad("truncate", "must be true or false");
    rope->truncate = *truncate;
  }
  if (rope->theta <= 1) return Bad("rope_theta", "must be above 1 for rope_type yarn");
  double mscale = 0, mscale_all_dim = 0;
  RETURN_IF_ERROR(OptionalPositive(given, "mscale", &mscale));
  RETURN_IF_ERROR(OptionalPositive(given, "mscale_all_dim", &mscale_all_dim));
  const auto magnitude = [&](double scale) {
    return rope->factor <= 1 ? 1.0 : 0.1 * scale * std::log(rope->factor) + 1.0;
  };
  rope->magnitude = mscale > 0 && mscale_all_dim > 0 ? magnitude(mscale) / magnitude(mscale_all_dim)
                                                     : magnitude(1);
  return OptionalPositive(given, "attention_factor", &rope->magnitude);
}

// Reads rope_theta and rope_scaling or, since transformers 5, rope_parameters with both.
absl::Status ParseRope(const nlohmann::json& json, int64_t max_positions, RopeSettings* rope) {
  RETURN_IF_ERROR(Positive(json, "rope_theta", &rope->theta));
  const char* field =
      FindField(json, "rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* given = FindField(json, field);
  if (given == nullptr) return absl::OkStatus();
  if (!given->is_object()) return Bad(field, "must be an object");
  RETURN_IF_ERROR(Positive(*given, "rope_theta", &rope->theta));
  RETURN_IF_ERROR(CheckWholeRotation(*given));
  absl::StatusOr<std::string> type = GetStringOr(*given, "type", "default");
  // `rope_type` is the newer name and wins.
  if (type.ok()) type = GetStringOr(*given, "rope_type", *type);
  if (!type.ok()) return Bad(field, type.status().message());
  if (given->contains("full_attention") || given->contains("sliding_attention")) {
    return Unsupported(field, "one for each kind of layer is not supported");
  }
  // Dynamic scaling begins beyond the positions that the model was trained for.
  if (*type == "default" || *type == "dynamic") return absl::OkStatus();
  if (*type == "linear") {
    rope->scaling = RopeSettings::kLinear;
    return RequirePositive(*given, "factor", &rope->factor);
  }
  // Phi-3's files say "su" and "yarn" for LongRoPE.
  const bool phi3 = json.value("model_type", "") == "phi3";
  if (*type == "yarn" && !phi3) return ParseYarn(*given, max_positions, rope);
  if (*type != "llama3") {
    return Unsupported(
        absl::StrCat(field, ".rope_type"),
        absl::StrCat("'", Printable(*type),
                     "' is not supported; these are: default, dynamic, linear, llama3, yarn"));
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

TensorEntry Entry(const std::string& name, std::vector<int64_t> shape) {
  TensorEntry entry;
  entry.set_name(name);
  for (int64_t n : shape) entry.add_shape(n);
  return entry;
}

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Parse(absl::string_view config_json) {
  auto parsed = ParseJson(config_json);
  if (!parsed.ok()) return Bad("file", parsed.status().message());
  const nlohmann::json& json = *parsed;
  if (!json.is_object()) return Bad("file", "must be an object");
  ASSIGN_OR_RETURN(const Family family, FamilyOf(json));
  RETURN_IF_ERROR(CheckOptions(json));
  ModelConfig config;
  RETURN_IF_ERROR(ParseBiases(json, family, &config));
  config.fused = family.fused;
  config.qk_norm = family.qk_norm;
  config.rms_norm_eps = family.eps;
  config.rope.theta = family.theta;
  ASSIGN_OR_RETURN(config.vocab_size, Dimension(json, "vocab_size"));
  ASSIGN_OR_RETURN(config.hidden_size, Dimension(json, "hidden_size"));
  ASSIGN_OR_RETURN(config.intermediate_size, Dimension(json, "intermediate_size"));
  ASSIGN_OR_RETURN(config.num_layers, Dimension(json, "num_hidden_layers", kMaxLayers));
  ASSIGN_OR_RETURN(config.num_heads, Dimension(json, "num_attention_heads"));
  // Without the field, as in Llama 1: multi-head attention.
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
  } else if (!json.contains("head_dim") && family.head_dim > 0) {
    config.head_dim = family.head_dim;
  } else {
    if (config.hidden_size % config.num_heads != 0) {
      return Bad("hidden_size", "must be a multiple of num_attention_heads");
    }
    config.head_dim = config.hidden_size / config.num_heads;
  }
  // Even, because RoPE rotates pairs of lanes and bf16 kernels read pairs of numbers; bounded,
  // because the portable kernel keeps one head's sums on its stack.
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    return Bad("head_dim", absl::StrCat("must be even and at most ", kMaxHeadDim));
  }
  // A row of activations is a left operand of a bf16 product as it is, without padding (gemm.h: lda
  // >= padded_k).
  if (config.hidden_size % 2 != 0) return Bad("hidden_size", "must be even");
  if (config.intermediate_size % 2 != 0) return Bad("intermediate_size", "must be even");
  RETURN_IF_ERROR(Positive(json, "rms_norm_eps", &config.rms_norm_eps));
  RETURN_IF_ERROR(ParseRope(json, config.max_positions, &config.rope));
  RETURN_IF_ERROR(ParseWindow(json, family, &config));
  if (family.name == "smollm3") RETURN_IF_ERROR(ParseNoRope(json, &config));
  config.tie_word_embeddings = family.tied;
  if (FindField(json, "tie_word_embeddings") != nullptr) {
    ASSIGN_OR_RETURN(config.tie_word_embeddings, IsTrue(json, "tie_word_embeddings"));
  }
  return config;
}

bool ModelConfig::UsesRope(int64_t layer) const {
  return !std::binary_search(no_rope.begin(), no_rope.end(), layer);
}

std::vector<float> ModelConfig::RopeFrequencies() const {
  std::vector<float> out(head_dim / 2);
  // The place d, between lanes, whose frequency makes this many rotations in the original context.
  const auto place = [&](double rotations) {
    return static_cast<double>(head_dim) *
           std::log(rope.original_max_positions / (rotations * 2 * M_PI)) /
           (2 * std::log(rope.theta));
  };
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
    if (rope.scaling == RopeSettings::kYarn) {
      double low = place(rope.beta_fast), high = place(rope.beta_slow);
      if (rope.truncate) low = std::floor(low), high = std::ceil(high);
      low = std::max(low, 0.0);
      high = std::min(high, static_cast<double>(head_dim - 1));
      if (low == high) high += 0.001;
      const double divided = std::clamp((static_cast<double>(d) - low) / (high - low), 0.0, 1.0);
      frequency *= 1 - divided + divided / rope.factor;
    }
    out[d] = static_cast<float>(frequency);
  }
  return out;
}

std::vector<TensorEntry> ModelConfig::Tensors(int64_t first_layer) const {
  const int64_t q = num_heads * head_dim, kv = num_kv_heads * head_dim;
  std::vector<TensorEntry> out;
  const auto linear = [&out](const std::string& name, int64_t rows, int64_t columns, bool bias) {
    out.push_back(Entry(name + ".weight", {rows, columns}));
    if (bias) out.push_back(Entry(name + ".bias", {rows}));
  };
  if (first_layer == 0) {
    out.push_back(Entry("model.embed_tokens.weight", {vocab_size, hidden_size}));
  }
  for (int64_t i = first_layer; i < num_layers; ++i) {
    const std::string p = absl::StrCat("model.layers.", i, ".");
    out.push_back(Entry(p + "input_layernorm.weight", {hidden_size}));
    if (fused) {
      linear(p + "self_attn.qkv_proj", q + 2 * kv, hidden_size, qkv_bias);
    } else {
      linear(p + "self_attn.q_proj", q, hidden_size, qkv_bias);
      linear(p + "self_attn.k_proj", kv, hidden_size, qkv_bias);
      linear(p + "self_attn.v_proj", kv, hidden_size, qkv_bias);
    }
    if (qk_norm) {
      out.push_back(Entry(p + "self_attn.q_norm.weight", {head_dim}));
      out.push_back(Entry(p + "self_attn.k_norm.weight", {head_dim}));
    }
    linear(p + "self_attn.o_proj", hidden_size, q, output_bias);
    out.push_back(Entry(p + "post_attention_layernorm.weight", {hidden_size}));
    if (fused) {
      linear(p + "mlp.gate_up_proj", 2 * intermediate_size, hidden_size, mlp_bias);
    } else {
      linear(p + "mlp.gate_proj", intermediate_size, hidden_size, mlp_bias);
      linear(p + "mlp.up_proj", intermediate_size, hidden_size, mlp_bias);
    }
    linear(p + "mlp.down_proj", hidden_size, intermediate_size, mlp_bias);
  }
  out.push_back(Entry("model.norm.weight", {hidden_size}));
  if (first_layer == 0 && !tie_word_embeddings) {
    out.push_back(Entry("lm_head.weight", {vocab_size, hidden_size}));
  }
  return out;
}

}  // namespace reckon
