#ifndef RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_
#define RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/learner_context.h"
#include "proto/config.pb.h"

namespace reckon {

// The plan of an online stage: one batch a step, sampled from the newest weights. The problems of
// group g are those of the training data in an order that is shuffled anew in every pass over them,
// a function of (seed, stage, pass). Rank 0's; one thread.
//
// An owner that restarts goes on at its step: batches that were cut are served again as recorded.
class RolloutStream {
 public:
  static absl::StatusOr<RolloutStream> Open(LearnerContext& context, const PpoSettings& settings);

  // The rollouts of a step, in key order. Waits; CANCELLED when stopped.
  absl::StatusOr<std::vector<Rollout>> Next(int64_t step);
  // The step's update is `version`: actors may sample further ahead.
  absl::Status Applied(int64_t step, uint64_t version);
  // A checkpoint covers all steps up to this one.
  absl::Status Durable(int64_t step);
  absl::Status Close();

 private:
  RolloutStream(LearnerContext& context, const PpoSettings& settings);
  absl::Status AppendTo(uint64_t groups);
  const Problem& ProblemOf(uint64_t group);

  LearnerContext* context_;
  PpoSettings settings_;
  std::string name_;
  uint64_t appended_ = 0;
  int64_t pass_ = -1;
  std::vector<size_t> order_;  // of this pass
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_
