#ifndef RECKON_LEARNER_SAMPLING_ROLLOUT_STREAM_H_
#define RECKON_LEARNER_SAMPLING_ROLLOUT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/plan_watch.h"
#include "learner/context/context.h"
#include "learner/sampling/backtracking.h"
#include "learner/sampling/problem_order.h"
#include "learner/sampling/prompt_replay.h"
#include "proto/config.pb.h"

namespace reckon {

// The plan of an online stage. Appends work items as far ahead as max_staleness allows, and gives
// the batches that the coordinator cuts from them, one or more a step:
//
//   Open -> (NextBatch.. -> RecordScores -> MarkApplied [-> MarkDurable]) for each step -> Close
//
// Group g asks the problem at place g of the stage's ProblemOrder. Prioritised replay replaces some
// of these by problems that were seen before; backtracking begins the solutions for the policy.
//
// Owned by PolicyGradient on the leader, whose one thread uses it. A restart continues at the
// cursor's batch: batches that were cut are served again as recorded. Open fails with
// FAILED_PRECONDITION when the coordinator knows fewer groups than the cursor's batches had: it has
// lost its store.
class RolloutStream {
 public:
  static absl::StatusOr<std::unique_ptr<RolloutStream>> Open(LeaderContext& leader,
                                                             const PpoSettings& settings);

  // Whether NextBatch would find its batch and not wait for samples. False after an error, which
  // NextBatch gets as well.
  bool HasBatch();
  // Waits for one more batch of a step; rollouts are in key order. CANCELLED when stopped. Further
  // batches of the same step are sampled from the same version; the config allows them neither
  // with max_staleness nor with replay. Actors may draw meanwhile, so that the device must be
  // theirs, unless HasBatch has said that the batch is there (`ready`): then no actor is waited
  // for.
  absl::StatusOr<std::vector<Rollout>> NextBatch(int64_t step, bool ready = false);
  // The set of a mixture that a group of the step's batch asks; empty: there is none.
  const std::string& SetOf(uint64_t group);
  // How much each group of the step's batch taught, for the choice of the next step's prompts.
  void RecordScores(int64_t step, const std::map<uint64_t, double>& score_of_group);
  // The step that took the cursor's batches made `version`: actors may sample further ahead.
  absl::Status MarkApplied(uint64_t version);
  // A checkpoint, which may still be written, covers the cursor's batches.
  absl::Status MarkDurable();
  absl::Status Close();

  // Adds metrics of backtracking and replay, where they are on.
  void AddMetrics(int64_t step, std::map<std::string, double>* metrics) const;

 private:
  RolloutStream(LeaderContext& leader, const PpoSettings& settings);
  // OK, or why the plan cannot continue. Watches it from the first call until a batch is there.
  absl::Status Check();
  // Appends work items until the plan has `groups` groups, or, without `wait`, until the
  // coordinator's window is full: the next call appends the rest.
  absl::Status AppendUntil(uint64_t groups, int64_t step, bool wait);
  // Index in the training data of the problem that a group asks.
  size_t ProblemOfGroup(uint64_t group);
  void DrawPrompts(int64_t step);

  LeaderContext& leader_;
  const PpoSettings settings_;
  const std::string name_;
  PlanSpec spec_;
  std::unique_ptr<PlanWatch> watch_;  // while NextBatch waits
  uint64_t appended_ = 0;             // groups
  int64_t batch_ = 0;                 // the next one to take
  ProblemOrder order_;                // of the groups that are appended
  ProblemOrder taken_order_;          // the same, of those that are taken, which come later
  std::optional<Backtracking> backtracking_;
  std::optional<PromptReplay> replay_;
  // With replay: the problems of this step, and how many of them are new.
  std::vector<size_t> drawn_;
  int64_t fresh_ = 0;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_ROLLOUT_STREAM_H_
