#ifndef RECKON_ACTOR_WEIGHTS_MODEL_SET_H_
#define RECKON_ACTOR_WEIGHTS_MODEL_SET_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "actor/runner/model_runner.h"
#include "common/model/config.h"
#include "common/model/files/model_folder.h"
#include "common/text/tokenizer.h"

namespace reckon {

// A weight version that is loaded.
struct LoadedModel {
  uint64_t version = 0;
  std::unique_ptr<ModelRunner> runner;
  std::shared_ptr<const Tokenizer> tokenizer;
};

using ModelRunnerMaker =
    std::function<absl::StatusOr<std::unique_ptr<ModelRunner>>(const Weights&)>;

// The weight versions that are loaded: at most `capacity`; the least recently used one is unloaded
// first. The default is two because a learner that alternates between training at the newest and
// evaluating an older version would otherwise load weights at every change.
//
// All have one shape: they share a KV cache, which their runners hold, and two caches may not fit.
// So a version of another shape, which only another learner publishes, unloads all of them before
// its runner is made. Owned by the actor. Not thread-safe.
class ModelSet {
 public:
  explicit ModelSet(ModelRunnerMaker maker, size_t capacity = 2)
      : maker_(std::move(maker)), capacity_(capacity) {}

  // Returns null when the version is not loaded. The pointer is valid until the next Add or Clear.
  const LoadedModel* Find(uint64_t version);
  void Clear() { models_.clear(); }
  // Whether the version has another shape than those that are loaded. Its texts may be wrong, of
  // which Add says more: false.
  bool HasAnotherShape(const Weights& weights);
  // Loads a version, replacing it if it is loaded already. An error says what is wrong with the
  // weights, the config or the tokenizer; the versions unloaded to make room stay unloaded.
  absl::StatusOr<const LoadedModel*> Add(uint64_t version, const Weights& weights);

 private:
  // Sets tokenizer_.
  absl::StatusOr<ModelConfig> ShapeOf(const FolderTexts& texts);

  const ModelRunnerMaker maker_;
  const size_t capacity_;
  std::list<LoadedModel> models_;                 // most recently used first
  std::optional<ModelConfig> shape_;              // of all of them
  std::string tokenizer_json_, tokenizer_model_;  // from which tokenizer_ was made
  std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_WEIGHTS_MODEL_SET_H_
