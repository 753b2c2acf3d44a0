#ifndef RECKON_COMMON_MODEL_MODEL_CONFIG_H_
#define RECKON_COMMON_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Shape of a Llama-family transformer, from a Hugging Face config.json.
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
  double rope_theta = 10000;
  bool tie_word_embeddings = false;

  // INVALID_ARGUMENT "config.json: field: what is wrong"; UNIMPLEMENTED for another architecture.
  static absl::StatusOr<ModelConfig> Parse(absl::string_view config_json);
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_MODEL_CONFIG_H_
