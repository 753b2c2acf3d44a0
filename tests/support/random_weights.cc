#include "tests/support/random_weights.h"

#include "common/base/rng.h"

namespace reckon {

ModelConfig SmallConfig() {
  ModelConfig config;
  config.vocab_size = 99;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_layers = 2;
  config.num_heads = 3;
  config.num_kv_heads = 1;
  config.head_dim = 16;
  config.max_positions = 512;
  config.tie_word_embeddings = true;
  return config;
}

ModelConfig AllOptions() {
  ModelConfig config = SmallConfig();
  config.qkv_bias = config.output_bias = config.mlp_bias = config.qk_norm = true;
  config.tie_word_embeddings = false;
  config.unused_rows = 7;
  config.gaps = {3, 40};
  config.no_rope = {1};
  config.rope.magnitude = 1.1;
  return config;
}

ModelConfig WideHeads() {
  ModelConfig config = AllOptions();
  config.head_dim = 64;
  return config;
}

RandomWeights MakeRandomWeights(const ModelConfig& config, uint64_t seed) {
  RandomWeights out;
  for (TensorEntry entry : config.Tensors()) {
    entry.set_dtype("F32");
    entry.set_offset(out.bytes.size());
    int64_t n = 1;
    for (int64_t d : entry.shape()) n *= d;
    CounterRng rng(StreamKey(seed, entry.name()));
    const bool norm = entry.shape_size() == 1;
    for (int64_t i = 0; i < n; ++i) {
      float x = static_cast<float>(rng.Uniform(i) - 0.5);
      x = norm ? 1.0f + x : x * 0.4f;
      const char* p = reinterpret_cast<const char*>(&x);
      out.bytes.insert(out.bytes.end(), p, p + 4);
    }
    *out.manifest.add_tensors() = entry;
  }
  out.manifest.set_total_bytes(out.bytes.size());
  return out;
}

}  // namespace reckon
