#ifndef RECKON_COMMON_MODEL_CONFIG_H_
#define RECKON_COMMON_MODEL_CONFIG_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/weights.pb.h"

namespace reckon {

// Rotary position embedding (Su et al. 2021): lanes d and d + head_dim / 2 of a head are rotated by
// position * frequency[d], where frequency[d] = theta^(-2d / head_dim), scaled for longer contexts.
struct RopeSettings {
  double theta = 10000;
  // kLinear divides every frequency by `factor`.
  // kLlama3 (Llama 3.1's model card) divides those whose wavelength is above
  // original_max_positions / low_freq_factor, keeps those below original_max_positions /
  // high_freq_factor, and blends those between.
  // kYarn (Peng et al. 2023, arXiv 2309.00071) divides those with fewer than beta_slow rotations
  // within original_max_positions, keeps those with more than beta_fast, and blends those between
  // by their place; rotated lanes are multiplied by `magnitude`.
  enum Scaling { kNone, kLinear, kLlama3, kYarn } scaling = kNone;
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  double original_max_positions = 8192;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;  // the places between which kYarn blends are whole
  double magnitude = 1;

  bool operator==(const RopeSettings&) const = default;
};

// The shape of a transformer, as in Hugging Face's config.json. Families (model_type), which are
// one block with options:
//   llama      Llama 1 to 3, SmolLM2, and many that took over its shape
//   mistral    Mistral
//   ministral  Ministral; cwm: Code World Model, its shape
//   qwen2      Qwen2, Qwen2.5: with qkv_bias
//   qwen3      Qwen3: with qk_norm
//   smollm3    SmolLM3: some layers without RoPE
//   seed_oss   Seed-OSS: with qkv_bias
//   phi3       Phi-3 and Phi-4 without LongRoPE: fused
// A model whose layers attend to a sliding window computes the same as with full attention as long
// as the text fits into the window, so max_positions is then at most the window.
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;        // even
  int64_t intermediate_size = 0;  // of the MLP; even
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads
  int64_t head_dim = 0;      // even, at most kMaxHeadDim
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-5;
  RopeSettings rope;
  std::vector<int64_t> no_rope;      // layers without RoPE, ascending
  bool qkv_bias = false;             // the q, k and v projections have a bias
  bool output_bias = false;          // the o projection has a bias
  bool mlp_bias = false;             // the gate, up and down projections have a bias
  bool fused = false;                // q, k and v are one tensor, gate and up are one
  bool qk_norm = false;              // RMS norm of each query and key head, before RoPE
  bool tie_word_embeddings = false;  // the head is the embedding
  // Rows at the end of the vocabulary that no token of the tokenizer has (model_shape.h), because
  // models are published with vocabularies rounded up. The head leaves them out.
  int64_t unused_rows = 0;
  // Rows before those that no token has, ascending: ids that were skipped or given up. Their logits
  // are minus infinity.
  std::vector<int64_t> gaps;

  // Reads a config.json from an untrusted source. INVALID_ARGUMENT "config.json: field: what is
  // wrong"; UNIMPLEMENTED for another family or for an unsupported option of one.
  static absl::StatusOr<ModelConfig> Parse(absl::string_view config_json);

  // Whether two models compute alike, whatever else their texts say.
  bool operator==(const ModelConfig&) const = default;

  // Above all ids that may be drawn, trained on and given to the model.
  int64_t num_tokens() const { return vocab_size - unused_rows; }
  bool HasToken(int64_t id) const {
    return id >= 0 && id < num_tokens() && !std::binary_search(gaps.begin(), gaps.end(), id);
  }
  bool UsesRope(int64_t layer) const;
  // frequency[d] of RopeSettings, [head_dim / 2].
  std::vector<float> RopeFrequencies() const;

  // Names and shapes of the checkpoint's tensors of layers first_layer and above, in canonical
  // order: the order of parameters, gradients, optimizer moments and published versions. The
  // embedding and the head are included only with first_layer 0. Dtypes are not set.
  std::vector<TensorEntry> Tensors(int64_t first_layer = 0) const;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_CONFIG_H_
