#ifndef RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_EXPERT_ITERATION_H_
#define RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_EXPERT_ITERATION_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/prompt/prompt_format.h"
#include "learner/algorithm/algorithm.h"

namespace reckon {

// Expert iteration (paper, section 3; the union and the duplicates as in RFT, arXiv 2308.01825). In
// round n:
//
//   1. Sample K solutions of each problem from the newest policy.
//   2. S_n = those with reward >= threshold that were not cut at the length limit (unless
//      keep_truncated), each distinct one of a problem once; recorded as the selection
//      "<stage>/round_<n>".
//   3. D = worked solutions of earlier sft stages (include_sft_data) + the distinct ones of
//      S_1, ..., S_n.
//   4. Load the version that restart_from names and fine-tune it on D.
class ExpertIteration : public Algorithm {
 public:
  ExpertIteration(const RunConfig& config, int stage)
      : Algorithm(config, stage), settings_(this->stage().ei()) {}

  int64_t rounds() const override { return settings_.rounds(); }
  std::string round_word() const override { return "round"; }
  absl::Status Check(const ModelConfig& model, const RunData& data) const override;
  std::vector<SampledRound> SampledRounds(const RunData& data) const override;
  absl::Status Round(RankContext& ranks) override;

 private:
  absl::Status Sample(LeaderContext& leader, const SampledRound& round) const;
  // D. The selections of all rounds up to the cursor's are complete.
  absl::StatusOr<std::vector<TrainingSequence>> Collect(LeaderContext& leader) const;

  const EiSettings& settings_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EXPERT_ITERATION_EXPERT_ITERATION_H_
