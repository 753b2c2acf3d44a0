#include "actor/weights/model_set.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace reckon {

const LoadedModel* ModelSet::Find(uint64_t version) {
  auto found = std::find_if(models_.begin(), models_.end(),
                            [version](const LoadedModel& m) { return m.version == version; });
  if (found == models_.end()) return nullptr;
  models_.splice(models_.begin(), models_, found);
  return &models_.front();
}

absl::StatusOr<const LoadedModel*> ModelSet::Add(uint64_t version, const Weights& weights) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, TokenizerFor(weights.texts()));
  // Unload before loading: memory may not suffice for one version more.
  models_.remove_if([version](const LoadedModel& m) { return m.version == version; });
  while (models_.size() >= capacity_) models_.pop_back();
  ASSIGN_OR_RETURN(std::unique_ptr<ModelRunner> runner, maker_(weights));
  models_.push_front({version, std::move(runner), std::move(tokenizer)});
  return &models_.front();
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> ModelSet::TokenizerFor(const FolderTexts& texts) {
  // Megabytes, which are compared in place: most versions have the same.
  if (tokenizer_ == nullptr || texts.tokenizer_json() != tokenizer_json_ ||
      texts.tokenizer_model() != tokenizer_model_) {
    ASSIGN_OR_RETURN(tokenizer_,
                     Tokenizer::Create(texts.tokenizer_json(), texts.tokenizer_model()));
    tokenizer_json_ = texts.tokenizer_json();
    tokenizer_model_ = texts.tokenizer_model();
  }
  return tokenizer_;
}

}  // namespace reckon
