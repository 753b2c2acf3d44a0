#include "common/testing/tiny_model.h"

#include <utility>

namespace reckon {

Weights MakeTinyModel(const TinyModelOptions& options) {
  WeightManifest manifest = RandomModelManifest(options);
  manifest.set_tokenizer_json(NewTokenizerJson({}));
  manifest.set_tokenizer_config_json(NewTokenizerConfigJson());
  return DrawWeights(std::move(manifest), options.seed);
}

absl::Status WriteTinyModel(const std::string& folder, const TinyModelOptions& options) {
  Weights weights = MakeTinyModel(options);
  return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
}

}  // namespace reckon
