#ifndef RECKON_COMMON_MODEL_FAMILIES_H_
#define RECKON_COMMON_MODEL_FAMILIES_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/config.h"
#include "common/text/json.h"

namespace reckon {

// What the families differ in where config.json says nothing: the defaults of transformers'
// classes.
struct Family {
  absl::string_view name;
  bool qkv_bias = false;        // without attention_bias
  bool bias_of_output = false;  // attention_bias: of the o projection as well
  bool reads_bias = false;      // it has attention_bias; else the field is ignored
  bool reads_mlp_bias = false;
  bool fused = false;
  bool qk_norm = false;
  bool tied = false;
  double theta = 10000;
  double eps = 1e-6;
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  int64_t window = 0;    // tokens of the sliding window; 0: none, if no layer has one
  bool slides = false;   // some layer has the window, if there is one, without layer_types
};

// The family of a config.json, by its model_type. UNIMPLEMENTED: Reckon does not have it.
absl::StatusOr<Family> FamilyOf(const nlohmann::json& json);

// UNIMPLEMENTED for options that change the block into one that Reckon does not have.
absl::Status CheckOptions(const nlohmann::json& json);
// UNIMPLEMENTED when a part of a head is not rotated.
absl::Status CheckWholeRotation(const nlohmann::json& json);

// Biases of linear layers. A family without a field ignores it: Qwen2 always has those of q, k and
// v.
absl::Status ParseBiases(const nlohmann::json& json, const Family& family, ModelConfig* config);

// Limits max_positions to the window, if some layer has one.
absl::Status ParseWindow(const nlohmann::json& json, const Family& family, ModelConfig* config);

// SmolLM3: no_rope_layers has a 1 for each layer with RoPE; without it, every
// no_rope_layer_interval-th layer is without.
absl::Status ParseNoRope(const nlohmann::json& json, ModelConfig* config);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FAMILIES_H_
