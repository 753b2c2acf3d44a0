#ifndef RECKON_ACTOR_ENGINE_WORK_H_
#define RECKON_ACTOR_ENGINE_WORK_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "actor/engine/stop_scan.h"
#include "actor/policy/policy.h"
#include "common/base/rng.h"
#include "common/text/tokenizer.h"
#include "google/protobuf/repeated_field.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// One lease in the engine: a prompt group of which some samples are asked for. The context (prompt
// and forced tokens) is the same for all samples, so its keys and values are computed once.
struct Group {
  Lease lease;
  std::shared_ptr<const PlanSpec> plan;
  std::vector<uint32_t> context;
  int64_t max_new = 0;                 // 0: only scores
  std::deque<uint32_t> pending;        // samples not yet started
  std::vector<float> forced_logprobs;  // when the plan asks for them
  bool prefilled = false;
  Policy::Sequence sequence = -1;  // holds all of the context but its last token; -1: none
  int64_t fed = 0;                 // context tokens run so far

  // Step labels are put in front of the first step already in the context.
  const google::protobuf::RepeatedField<uint32_t>& label() const {
    return plan->step_label_tokens();
  }
  int64_t num_prompt() const { return lease.item().prompt_tokens_size(); }
  // Context tokens computed once; the last one is each sample's own first row.
  int64_t num_shared() const { return static_cast<int64_t>(context.size()) - 1; }
  int64_t max_tokens() const { return num_shared() + max_new; }
};

// A sample that is being generated.
struct LiveSample {
  std::shared_ptr<Group> group;
  uint32_t sample = 0;
  CounterRng rng{0};
  Policy::Sequence sequence = 0;
  uint32_t next = 0;  // token of its next row
  std::vector<uint32_t> tokens;
  std::vector<float> logprobs;
  std::vector<bool> forced;  // tokens that belong to a step label
  int label_left = 0;        // tokens of a step label still to be put in
  StopScan text;

  // How to draw the next token: the counter is the token's position in the completion.
  Draw NextDraw() const;
  // Takes a drawn token. True when the sample is finished, and `finish` says why.
  bool Take(const Drawn& drawn, const Tokenizer& tokenizer, FinishReason* finish);
};

// Checks what came over the network against the model, and what the lease needs against the cache:
// INVALID_ARGUMENT or RESOURCE_EXHAUSTED says what is wrong with the item and what would help.
absl::StatusOr<std::shared_ptr<Group>> MakeGroup(const Lease& lease,
                                                 std::shared_ptr<const PlanSpec> plan,
                                                 const Policy& policy);

// The record of a finished sample, without rewards. `sampled` is null when the item only scores.
Rollout MakeRollout(const Group& group, uint32_t sample, const LiveSample* sampled,
                    FinishReason finish, const Tokenizer& tokenizer);

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_WORK_H_
