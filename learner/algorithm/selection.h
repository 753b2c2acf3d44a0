#ifndef RECKON_LEARNER_ALGORITHM_SELECTION_H_
#define RECKON_LEARNER_ALGORITHM_SELECTION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/task/problem.h"
#include "learner/algorithm/learner_context.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// One round of sampling of a stage: a plan, and a selection of the same name.
struct SampledRound {
  std::string record;                    // "ei_1/round_2"
  std::vector<const Problem*> problems;  // that group 0, 1 ... ask
};

// All rounds of an earlier ei or orm stage, or the only one of an orm stage.
std::vector<SampledRound> RoundsOf(const LearnerContext& context, const Stage& stage);

// How a round samples and what of it is selected.
struct SelectionRule {
  uint32_t samples_per_prompt = 1;
  SamplingSettings sampling;
  google::protobuf::RepeatedPtrField<RewardSettings> rewards;  // none: EXACT_MATCH_STRICT
  double threshold = 0;                                        // rewards from here on are accepted
  EiSettings::Dedup dedup = EiSettings::NONE;
  const PromptFormatter* formatter = nullptr;
};

// Rank 0: samples a round and records its selection; what is recorded is not done again.
absl::Status SampleRound(LearnerContext& context, const SampledRound& round,
                         const SelectionRule& rule);

// Hands a round's selected rollouts to `each` in order, with their problem.
absl::Status ReadRound(LearnerContext& context, const SampledRound& round,
                       const std::function<void(const Problem&, const Rollout&)>& each);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_SELECTION_H_
