#ifndef RECKON_LEARNER_SAMPLING_SELECTION_H_
#define RECKON_LEARNER_SAMPLING_SELECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/context/context.h"
#include "learner/experience/orm_rewards.h"
#include "proto/config.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Sampling a round of problems and recording which rollouts are selected for training. Both are
// durable at the coordinator: a resumed run, or a later stage, reads them instead of sampling. The
// leader's.

// One round of a stage: a plan, and the selection of the same name.
struct SampledRound {
  std::string name;              // "ei_1/round_2"
  std::vector<size_t> problems;  // group g asks problem problems[g] of the training data
};

// Round `round`, from 0, of a stage over the problems from `first` on: all of them in the order of
// the data, or `prompts` > 0 of them, drawn by (seed, stage, round), of a mixture by its shares.
SampledRound MakeSampledRound(const RunConfig& config, const RunData& data,
                              const std::string& stage, size_t first, uint32_t prompts,
                              int64_t round);

// How a round samples and which of its rollouts are selected: those with reward >= threshold that
// are no duplicate of an earlier one of the problem and, unless keep_truncated, were not cut at
// max_new_tokens.
struct SelectionRule {
  uint32_t samples_per_prompt = 1;
  SamplingParams sampling;
  RewardList rewards;    // none: EXACT_MATCH_STRICT
  double threshold = 0;  // -infinity: every rollout
  EiSettings::Dedup dedup = EiSettings::NONE;
  bool keep_truncated = true;
  const PromptFormatter* formatter = nullptr;
};

// Samples a round from the newest version, records its selection and reports its counts. Does again
// only what is not recorded.
absl::Status SampleRound(LeaderContext& leader, const SampledRound& round,
                         const SelectionRule& rule);

// Calls `each` with the selected rollouts of a round, in order, without stop strings
// (EndAtStopString), and the index of the problem in the training data. FAILED_PRECONDITION when
// the selection is not complete, or of other data.
absl::Status ReadRound(LeaderContext& leader, const SampledRound& round,
                       const std::function<void(size_t problem, const Rollout&)>& each);

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_SELECTION_H_
