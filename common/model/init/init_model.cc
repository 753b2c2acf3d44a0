#include "common/model/init/init_model.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"
#include "common/model/init/new_tokenizer.h"
#include "common/model/init/random_model.h"
#include "common/task/dataset/dataset.h"
#include "common/task/reward/own_rewards.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

ModelConfig ShapeOf(const InitSettings& init, int64_t vocab_size) {
  ModelConfig config;
  config.vocab_size = vocab_size;
  config.hidden_size = init.hidden_size();
  config.intermediate_size = init.intermediate_size();
  config.num_layers = init.num_hidden_layers();
  config.num_heads = init.num_attention_heads();
  config.num_kv_heads = init.num_key_value_heads();
  config.head_dim = config.hidden_size / config.num_heads;
  config.max_positions = init.max_position_embeddings();
  config.tie_word_embeddings = init.tie_word_embeddings();
  return config;
}

}  // namespace

bool HasInit(const RunConfig& config) {
  return config.stage_size() > 0 && config.stage(0).has_init();
}

std::string BaseModelFolder(const RunConfig& config, const std::string& run_dir) {
  return HasInit(config) ? run_dir + "/weights/init" : config.model().path();
}

absl::StatusOr<WeightManifest> InitManifest(const RunConfig& config) {
  const InitSettings& init = config.stage(0).init();
  ASSIGN_OR_RETURN(const Dataset train,
                   LoadDataset(config.data(), Split::kTrain, AnswerUseOf(config)));
  std::vector<std::string> texts;
  for (const Problem& problem : train.problems) {
    texts.push_back(problem.question);
    texts.push_back(problem.solution);
  }
  ASSIGN_OR_RETURN(const auto merges, TrainMerges(texts, init.vocab_size() - kNewTokenizerBytes));
  const std::string tokenizer_json = NewTokenizerJson(merges);
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Create(tokenizer_json));

  WeightManifest manifest =
      RandomModelManifest(ShapeOf(init, static_cast<int64_t>(tokenizer->vocab_size())));
  manifest.mutable_texts()->set_tokenizer_json(tokenizer_json);
  manifest.mutable_texts()->set_tokenizer_config_json(NewTokenizerConfigJson());
  return manifest;
}

absl::StatusOr<Weights> InitModel(const RunConfig& config) {
  ASSIGN_OR_RETURN(WeightManifest manifest, InitManifest(config));
  return DrawWeights(std::move(manifest), config.seed());
}

}  // namespace reckon
