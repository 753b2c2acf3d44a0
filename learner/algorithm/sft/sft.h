#ifndef RECKON_LEARNER_ALGORITHM_SFT_SFT_H_
#define RECKON_LEARNER_ALGORITHM_SFT_SFT_H_

#include "learner/algorithm/algorithm.h"

namespace reckon {

// Supervised fine-tuning of the newest policy on the worked solutions of the first sft.limit
// problems.
class Sft : public Algorithm {
 public:
  using Algorithm::Algorithm;
  absl::Status Check(const ModelConfig& model, const RunData& data) const override;
  int64_t WorkedSolutions(const RunData& data) const override;
  absl::Status Round(RankContext& ranks) override;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_SFT_SFT_H_
