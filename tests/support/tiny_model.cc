#include "tests/support/tiny_model.h"

#include <utility>

#include "common/model/init/random_model.h"

namespace reckon {

ModelConfig TinyConfig() {
  ModelConfig config;
  config.vocab_size = kTinyVocab;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.max_positions = 2048;
  config.tie_word_embeddings = true;
  return config;
}

Weights MakeTinyModel(uint64_t seed) {
  WeightManifest manifest = RandomModelManifest(TinyConfig());
  manifest.set_tokenizer_json(NewTokenizerJson({}));
  manifest.set_tokenizer_config_json(NewTokenizerConfigJson());
  return DrawWeights(std::move(manifest), seed).value();
}

absl::Status WriteTinyModel(const std::string& folder, uint64_t seed) {
  Weights weights = MakeTinyModel(seed);
  return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
}

}  // namespace reckon
