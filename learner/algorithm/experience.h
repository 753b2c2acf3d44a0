#ifndef RECKON_LEARNER_ALGORITHM_EXPERIENCE_H_
#define RECKON_LEARNER_ALGORITHM_EXPERIENCE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "learner/update/training_sequence.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A rollout as online learning sees it. Per-token vectors are of its sampled tokens, in order.
struct Experience {
  TrainingSequence sequence;  // prompt, forced and sampled tokens; the sampled ones are learned
  uint64_t group = 0;
  double reward = 0;
  Verdict verdict = VERDICT_UNSPECIFIED;  // of its first reward that gives one
  bool truncated = false;
  bool flat_group = false;                // the rewards of its group are all the same
  uint64_t version = 0;                   // oldest among its sampled tokens
  std::vector<float> behaviour_logprobs;  // as the actor recorded them
  std::vector<float> step_rewards;        // the part of `reward` that steps earn, where they end

  // What the learner adds.
  std::vector<float> old_logprobs, ref_logprobs, old_values;
  std::vector<float> advantages, returns;

  size_t length() const { return behaviour_logprobs.size(); }
};

// By token of the completion, forced and sampled: its index among the sampled ones; -1: forced.
std::vector<int64_t> SampledIndices(const Rollout& rollout);

// `rewards`: of the plan, with their weights. A step that was forced earns nothing.
Experience MakeExperience(const Rollout& rollout,
                          const google::protobuf::RepeatedPtrField<RewardSettings>& rewards);

// By group: the mean over its tokens of what the critic was wrong by, or without one of the
// advantages' sizes (Jiang et al. 2021, L1 value loss). Of a step whose advantages are filled.
std::map<uint64_t, double> GroupScores(const std::vector<Experience>& step);

// Means over the samples and groups of a step, by the names users of verl and TRL know.
std::map<std::string, double> ExperienceMetrics(const std::vector<Experience>& step,
                                                uint64_t version);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EXPERIENCE_H_
