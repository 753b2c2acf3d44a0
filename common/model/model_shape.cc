#include "common/model/model_shape.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/base/status_macros.h"
#include "common/text/tokenizer.h"

namespace reckon {

absl::StatusOr<ModelConfig> ModelShape(const FolderTexts& texts) {
  ASSIGN_OR_RETURN(ModelConfig config, ModelConfig::Parse(texts.config_json()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   Tokenizer::Create(texts.tokenizer_json(), texts.tokenizer_model()));
  return ModelShape(std::move(config), *tokenizer);
}

ModelConfig ModelShape(ModelConfig config, const Tokenizer& tokenizer) {
  // A tokenizer with more ids than the model has rows is not wrong in itself: ids are checked where
  // they are used.
  const int64_t ids = static_cast<int64_t>(tokenizer.vocab_size());
  config.unused_rows = std::max<int64_t>(0, config.vocab_size - ids);
  for (int64_t id = 0; id < config.num_tokens(); ++id) {
    if (!tokenizer.HasToken(static_cast<uint32_t>(id))) config.gaps.push_back(id);
  }
  return config;
}

}  // namespace reckon
