#ifndef RECKON_LEARNER_ALGORITHM_ORM_TRAIN_ORM_H_
#define RECKON_LEARNER_ALGORITHM_ORM_TRAIN_ORM_H_

#include <memory>
#include <vector>

#include "learner/algorithm/algorithm.h"
#include "learner/data/training_sequence.h"
#include "learner/experience/reward_head.h"

namespace reckon {

// Trains an outcome reward model (Cobbe et al. 2021):
//
//   1. Sample solutions of each problem from the newest policy; recorded as a selection.
//   2. Label them right or wrong by their final answers; the problems of held_out are not trained
//   on.
//   3. Fine-tune the version that restart_from names, with a reward head, to predict the label.
//   4. Measure the held-out solutions: AUC, calibration error, accuracy, Brier score.
//   5. Write transformer and head to <run_dir>/orm/<stage>.
//   6. Load the policy again: the transformer was trained in its place. With adapters the next
//   stage does so, as it trains the policy.
class TrainOrm : public Algorithm {
 public:
  TrainOrm(const RunConfig& config, int stage)
      : Algorithm(config, stage), settings_(this->stage().orm()) {}

  absl::Status Check(const ModelConfig& model, const RunData& data) const override;
  std::vector<SampledRound> SampledRounds(const RunData& data) const override;
  absl::Status Begin(RankContext& ranks) override;
  absl::Status Round(RankContext& ranks) override;

 private:
  struct Labelled {
    std::vector<TrainingSequence> learned, held_out;
  };
  absl::Status Sample(LeaderContext& leader, const SampledRound& round) const;
  absl::StatusOr<Labelled> Collect(LeaderContext& leader, const SampledRound& round) const;
  absl::Status Measure(RankContext& ranks, std::vector<TrainingSequence> held_out) const;
  absl::Status Write(LeaderContext& leader, const NamedTensors& merged) const;

  const OrmSettings& settings_;
  std::unique_ptr<RewardHead> head_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ORM_TRAIN_ORM_H_
