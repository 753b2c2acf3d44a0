#include "actor/weights/model_set.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/model_shape.h"

namespace reckon {

const LoadedModel* ModelSet::Find(uint64_t version) {
  auto found = std::find_if(models_.begin(), models_.end(),
                            [version](const LoadedModel& m) { return m.version == version; });
  if (found == models_.end()) return nullptr;
  models_.splice(models_.begin(), models_, found);
  return &models_.front();
}

bool ModelSet::HasAnotherShape(const Weights& weights) {
  if (models_.empty()) return false;
  const absl::StatusOr<ModelConfig> shape = ShapeOf(weights.texts());
  return shape.ok() && *shape != shape_;
}

absl::StatusOr<const LoadedModel*> ModelSet::Add(uint64_t version, const Weights& weights) {
  ASSIGN_OR_RETURN(ModelConfig shape, ShapeOf(weights.texts()));
  // Unload before loading: memory may not suffice for one version more.
  if (shape != shape_) models_.clear();
  shape_ = std::move(shape);
  models_.remove_if([version](const LoadedModel& m) { return m.version == version; });
  while (models_.size() >= capacity_) models_.pop_back();
  ASSIGN_OR_RETURN(std::unique_ptr<ModelRunner> runner, maker_(weights));
  models_.push_front({version, std::move(runner), tokenizer_});
  return &models_.front();
}

absl::StatusOr<ModelConfig> ModelSet::ShapeOf(const FolderTexts& texts) {
  ASSIGN_OR_RETURN(ModelConfig config, ModelConfig::Parse(texts.config_json()));
  // Megabytes, which are compared in place: most versions have the same.
  if (tokenizer_ == nullptr || texts.tokenizer_json() != tokenizer_json_ ||
      texts.tokenizer_model() != tokenizer_model_) {
    ASSIGN_OR_RETURN(tokenizer_,
                     Tokenizer::Create(texts.tokenizer_json(), texts.tokenizer_model()));
    tokenizer_json_ = texts.tokenizer_json();
    tokenizer_model_ = texts.tokenizer_model();
  }
  return ModelShape(std::move(config), *tokenizer_);
}

}  // namespace reckon
