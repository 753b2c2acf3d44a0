#ifndef RECKON_LEARNER_EXPERIENCE_EXPERIENCE_H_
#define RECKON_LEARNER_EXPERIENCE_EXPERIENCE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "learner/data/training_sequence.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A rollout with what learning adds to it. Per-token vectors have an entry for each sampled token,
// in order; forced tokens have none.
struct Experience {
  TrainingSequence sequence;  // prompt, forced and sampled tokens; the sampled ones are learned
  uint64_t group = 0;
  double reward = 0;
  Verdict verdict = VERDICT_UNSPECIFIED;  // of its first reward that gives one
  bool truncated = false;                 // ended by max_new_tokens
  // Its last token is in the place of a stop string (EndAtStopString). No actor drew it, so its
  // behaviour_logprobs are set to old_logprobs when these are known: importance weight 1.
  bool end_in_place = false;
  bool flat_group = false;                // all samples of its group have the same reward
  uint64_t version = 0;                   // oldest among its sampled tokens
  std::vector<float> behaviour_logprobs;  // as the actor recorded them
  std::vector<float> step_rewards;        // the part of `reward` that solution steps earn, at the
                                          // token that ends each of them

  // Added by scoring, under the policy before this step's update and under the reference policy.
  std::vector<float> old_logprobs, ref_logprobs, old_values;
  bool recorded = false;  // old_logprobs are behaviour_logprobs, without a pass (RecordedLogProbs)
  // Added by FillAdvantages, or with values_in_pass by PpoLoss.
  std::vector<float> advantages, returns;
  bool values_in_pass = false;  // no pass has scored old_values: the first minibatch's gives them

  size_t length() const { return behaviour_logprobs.size(); }
};

// For each token of the completion, its index among the sampled ones; -1: it was forced.
std::vector<int64_t> SampledIndices(const Rollout& rollout);

// `rewards`: those of the plan, in its order, for their weights. A solution step that was forced
// earns nothing.
Experience MakeExperience(const Rollout& rollout,
                          const google::protobuf::RepeatedPtrField<RewardSpec>& rewards);

// The functions below take the samples of one training step, the samples of a group being adjacent.

// Sets flat_group; returns the number of groups that are not flat (DAPO's dynamic sampling, Yu et
// al. 2025, section 3.2: a flat group has no advantages).
uint32_t MarkFlatGroups(std::vector<Experience>* experiences);

// Lowers the reward of a long sample (DAPO, eq. 13, soft overlong punishment) by
//   penalty_factor * clamp((length - (max_new_tokens - buffer_len)) / buffer_len, 0, 1).
void ApplyOverlongPenalty(const PpoSettings& settings, Experience* experience);

// Returns the samples that enter the loss. With filter.groups they are those of the first `prompts`
// groups that are not flat, with filter.mask_truncated those that are not truncated. Samples that
// are left out still count in their group's baseline.
std::vector<Experience*> SamplesInLoss(const PpoSettings& settings,
                                       std::vector<Experience>* experiences);

// How much each group taught, for prioritised replay: the mean over its tokens of |return - value|
// (L1 value loss, Jiang et al. 2021), or of |advantage| where there is no critic. Needs advantages.
std::map<uint64_t, double> GroupScores(const std::vector<Experience>& experiences);

// Means over samples, tokens and groups, under the names that verl and TRL use. `version`: of the
// policy that learns, from which staleness counts. Needs old_logprobs.
std::map<std::string, double> ExperienceMetrics(const std::vector<Experience>& experiences,
                                                uint64_t version);

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_EXPERIENCE_H_
