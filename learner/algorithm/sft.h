#ifndef RECKON_LEARNER_ALGORITHM_SFT_H_
#define RECKON_LEARNER_ALGORITHM_SFT_H_

#include "learner/algorithm/algorithm.h"

namespace reckon {

// Fine-tunes the current policy on the worked solutions of the data.
class Sft : public Algorithm {
 public:
  int64_t rounds() const override { return 1; }
  absl::Status Round(LearnerContext& context) override;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_SFT_H_
