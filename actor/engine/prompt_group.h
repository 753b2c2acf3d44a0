#ifndef RECKON_ACTOR_ENGINE_PROMPT_GROUP_H_
#define RECKON_ACTOR_ENGINE_PROMPT_GROUP_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "actor/runner/model_runner.h"
#include "google/protobuf/repeated_field.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// One lease in the engine: some samples of one prompt.
//
//   context = prompt tokens | forced tokens | first step label
//             <----- shared: computed once ----->|last|
//   each sample = context | tokens sampled or forced for it alone
//
// The samples fork from a sequence that holds the shared part. The last context token is the first
// row of each sample, because the pass over it draws the sample's first token. The engine owns the
// group while samples are pending; samples in flight and finished ones keep it alive after that.
struct PromptGroup {
  // Checks the work against the model and the cache, because it came over the network.
  // INVALID_ARGUMENT: this model can never run the item. RESOURCE_EXHAUSTED: this cache cannot hold
  // even one sample. The messages say what to change.
  static absl::StatusOr<std::shared_ptr<PromptGroup>> Create(const Lease& lease,
                                                             std::shared_ptr<const PlanSpec> plan,
                                                             const ModelRunner& runner);

  Lease lease;
  std::shared_ptr<const PlanSpec> plan;
  std::vector<uint32_t> context;
  int64_t max_new = 0;  // tokens a sample may add; 0: forced tokens are scored, no sampling
  uint32_t ranked = 0;  // TokenDraw::ranked of the tokens that are drawn
  std::deque<uint32_t> pending;        // numbers of the samples that have not started
  std::vector<float> forced_logprobs;  // of the forced tokens, when the plan asks for them

  bool prefilled = false;               // the shared part is computed, or will be in this pass
  ModelRunner::Sequence sequence = -1;  // holds the shared part; -1: none
  int64_t fed = 0;                      // tokens of the shared part that were in a pass

  // Forced before every solution step; the first one is part of the context.
  const google::protobuf::RepeatedField<uint32_t>& step_label() const {
    return plan->step_label_tokens();
  }
  int64_t num_prompt() const { return lease.item().prompt_tokens_size(); }
  int64_t num_shared() const { return static_cast<int64_t>(context.size()) - 1; }
  // Tokens in the cache of a sample at most: its last token is drawn but never fed.
  int64_t max_tokens() const { return num_shared() + max_new; }
};

// Tokens of the longest sample, its prompt among them, for which Create finds room in the cache,
// wherever the prompt ends.
int64_t LongestSample(const ModelRunner& runner);

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_PROMPT_GROUP_H_
