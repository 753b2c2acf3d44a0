#ifndef RECKON_COMMON_WEIGHTS_MODEL_CONFIG_H_
#define RECKON_COMMON_WEIGHTS_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// How positions turn into angles: lane d of a head turns by position * frequency[d].
struct RopeSettings {
  double theta = 10000;
  enum Scaling { kNone, kLinear, kLlama3 } scaling = kNone;
  double factor = 1;
  // kLlama3 alone (Llama 3.1's model card): wavelengths above original_max_positions /
  // low_freq_factor are stretched by `factor`, those below .../ high_freq_factor are not, and those
  // between are blended.
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  double original_max_positions = 8192;
};

// Shape of a Llama-family transformer (Llama, SmolLM2, Qwen2, Qwen2.5, Qwen3), from a Hugging Face
// config.json.
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-5;
  RopeSettings rope;
  bool qkv_bias = false;  // Qwen2: the q, k and v projections have a bias
  bool qk_norm = false;   // Qwen3: an RMS norm over each query and key head, before RoPE
  bool tie_word_embeddings = false;

  // INVALID_ARGUMENT "config.json: field: what is wrong"; UNIMPLEMENTED for another architecture
  // or a part of one that is not there.
  static absl::StatusOr<ModelConfig> Parse(absl::string_view config_json);

  // [head_dim / 2]
  std::vector<float> RopeFrequencies() const;
};

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_MODEL_CONFIG_H_
