#ifndef RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_
#define RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/backtracking.h"
#include "learner/algorithm/learner_context.h"
#include "learner/algorithm/prompt_replay.h"
#include "proto/config.pb.h"

namespace reckon {

// The plan of an online stage: batches sampled from the newest weights, one or more a step. Its
// prompts are the training data in an order that is shuffled anew in every pass over them, a
// function of (seed, stage, pass); with prioritised replay some of a step's prompts are seen ones
// instead. With backtracking solutions are begun for the policy. Rank 0's; one thread.
//
// An owner that restarts goes on at its step: batches that were cut are served again as recorded.
class RolloutStream {
 public:
  static absl::StatusOr<std::unique_ptr<RolloutStream>> Open(LearnerContext& context,
                                                             const PpoSettings& settings);

  // One more batch of rollouts for a step, in key order. Waits; CANCELLED when stopped. Another one
  // of the same step is sampled from the same weights; not with max_staleness or replay.
  absl::StatusOr<std::vector<Rollout>> Next(int64_t step);
  // The update of the step that has taken the cursor's batches is `version`: actors may sample
  // further ahead.
  absl::Status Applied(uint64_t version);
  // What the samples of the step's groups taught, for the prompts of the next one.
  void Learned(int64_t step, const std::map<uint64_t, double>& score_of_group);
  // Of the curricula that are on.
  void AddMetrics(int64_t step, std::map<std::string, double>* metrics) const;
  // A checkpoint covers the cursor's batches.
  absl::Status Durable();
  absl::Status Close();

 private:
  RolloutStream(LearnerContext& context, const PpoSettings& settings);
  absl::Status AppendTo(uint64_t groups, int64_t step);
  // Of a group, in the training data.
  size_t ProblemOf(uint64_t group);
  size_t InTurn(uint64_t place);
  void Draw(int64_t step);

  LearnerContext* context_;
  PpoSettings settings_;
  std::string name_;
  uint64_t appended_ = 0;
  int64_t batch_ = 0;  // the next one to take
  int64_t pass_ = -1;
  std::vector<size_t> order_;  // of this pass
  std::optional<Backtracking> backtracking_;
  std::optional<PromptReplay> replay_;
  std::vector<size_t> drawn_;  // the problems of this step, when some are replayed
  int64_t fresh_ = 0;          // of them
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ROLLOUT_STREAM_H_
