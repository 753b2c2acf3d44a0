#ifndef RECKON_ACTOR_WEIGHTS_MODEL_SET_H_
#define RECKON_ACTOR_WEIGHTS_MODEL_SET_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "actor/policy/policy.h"
#include "common/text/tokenizer.h"
#include "common/weights/model_folder.h"

namespace reckon {

// One weight version, ready to run.
struct Model {
  uint64_t version = 0;
  std::unique_ptr<Policy> policy;
  std::shared_ptr<const Tokenizer> tokenizer;
};

using PolicyMaker = std::function<absl::StatusOr<std::unique_ptr<Policy>>(const Weights&)>;

// The versions that are loaded: at most `capacity`, the one unused for longest goes first. Two, so
// that evaluating an old version in turn with the newest does not load at every turn. One thread.
class ModelSet {
 public:
  explicit ModelSet(PolicyMaker maker, size_t capacity = 2)
      : maker_(std::move(maker)), capacity_(capacity) {}

  // Null: not loaded. The pointer is good until the next Add.
  const Model* Find(uint64_t version);
  void Clear() { models_.clear(); }
  // Builds a version. An error says what in the weights, config or tokenizer is wrong.
  absl::StatusOr<const Model*> Add(uint64_t version, const Weights& weights);

 private:
  absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerFor(const WeightManifest& manifest);

  const PolicyMaker maker_;
  const size_t capacity_;
  std::list<Model> models_;      // last used first
  std::string tokenizer_files_;  // what tokenizer_ was made of
  std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_WEIGHTS_MODEL_SET_H_
