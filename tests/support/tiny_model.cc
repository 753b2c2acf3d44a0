#include "tests/support/tiny_model.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/rng.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
#include "common/model/init/random_model.h"
// Last.
#include "common/base/log.h"

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
  manifest.mutable_texts()->set_tokenizer_json(NewTokenizerJson({}));
  manifest.mutable_texts()->set_tokenizer_config_json(NewTokenizerConfigJson());
  return DrawWeights(std::move(manifest), seed).value();
}

Weights MakeTinyAdapters(uint64_t base_version, uint64_t seed) {
  constexpr int64_t kRank = 4;
  Weights out;
  out.manifest.set_base_version(base_version);
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns) {
    TensorEntry& entry = *out.manifest.add_tensors();
    entry.set_name(name);
    entry.set_dtype("F32");
    entry.add_shape(rows);
    entry.add_shape(columns);
  };
  for (const TensorEntry& entry : TinyConfig().Tensors()) {
    absl::string_view layer = entry.name();
    if (!absl::ConsumeSuffix(&layer, "_proj.weight")) continue;
    add(absl::StrCat(layer, "_proj.lora_A.weight"), kRank, entry.shape(1));
    add(absl::StrCat(layer, "_proj.lora_B.weight"), entry.shape(0), kRank);
  }
  CHECK(LayOut(&out.manifest).ok());
  out.bytes = WeightBytes::OfSize(out.manifest.total_bytes()).value();
  auto* values = reinterpret_cast<float*>(out.bytes->data());
  const CounterRng rng(seed);
  for (uint64_t i = 0; i < out.manifest.total_bytes() / sizeof(float); ++i) {
    values[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  }
  Digest(out.bytes->bytes(), &out.manifest);
  return out;
}

void SetConfigField(const std::string& field, const nlohmann::json& value, Weights* weights) {
  FolderTexts& texts = *weights->manifest.mutable_texts();
  nlohmann::json config = nlohmann::json::parse(texts.config_json());
  config[field] = value;
  texts.set_config_json(config.dump());
}

absl::Status WriteTinyModel(const std::string& folder, uint64_t seed) {
  Weights weights = MakeTinyModel(seed);
  return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
}

}  // namespace reckon
