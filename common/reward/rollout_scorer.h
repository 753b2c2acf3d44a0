#ifndef RECKON_COMMON_REWARD_ROLLOUT_SCORER_H_
#define RECKON_COMMON_REWARD_ROLLOUT_SCORER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/net/security.h"
#include "common/reward/reward_pool.h"
#include "common/reward/verifier.h"
#include "common/text/tokenizer.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A rollout before it is scored, and then the same with its rewards.
struct ScoringJob {
  uint64_t lease = 0;                    // whose work it is; the scorer does not read it
  std::shared_ptr<const PlanSpec> plan;  // whose rewards are computed
  std::shared_ptr<const WorkItem> item;
  Rollout rollout;
  // Of the user's own rewards: the text of the prompt. Of solution steps: for each token of the
  // completion the number of bytes up to its end. FillTexts sets both.
  std::string prompt;
  std::vector<uint32_t> token_ends;
  absl::Status status;                // scored: why it could not be, naming the reward
  std::vector<std::string> failures;  // scored: attempts that failed, by name, of all rewards
};
void FillTexts(const Tokenizer& tokenizer, ScoringJob* job);

// Scores rollouts by all rewards of their plans, beside the work of its caller. What the Rewarder
// knows is computed at once; the user's own rewards are computed by pools of workers, one for each
// that a plan has asked for, which last as long as the scorer.
//
//   Add --> pending, at its rewards' pools --> TakeScored
//
// A scored rollout has one RewardValue for each spec of the plan in order, the tokens that end
// their solution steps, and reward = sum of spec.weight * value. One that could not be scored has a
// status instead: no value is made up. Thread-safe.
class RolloutScorer {
 public:
  struct Options {
    const Rewarder* rewarder = nullptr;  // must outlive the scorer
    // The commands that a PROCESS reward may have: those that who started this program has named.
    // What a plan says may come from anybody who reaches the coordinator.
    std::vector<std::string> commands;
    std::shared_ptr<const Security> security = Security::PlainText();  // for SERVICE
    std::function<void()> notify = [] {};  // TakeScored has something; must not block
    std::function<void(RewardFailure)> on_failure = [](RewardFailure) {};  // a failed attempt
  };

  explicit RolloutScorer(Options options);
  ~RolloutScorer();  // drops what is pending
  RolloutScorer(const RolloutScorer&) = delete;
  RolloutScorer& operator=(const RolloutScorer&) = delete;

  void Add(ScoringJob job);
  std::vector<ScoringJob> TakeScored();
  int64_t pending() const;  // added and not yet taken

  // As RewardPool's, of the first reward of which it is so.
  std::string failing() const;
  void Forgive();
  std::string waiting_for() const;

 private:
  struct Pending;

  absl::StatusOr<RewardPool*> PoolOf(const RewardSpec& spec);
  void AddOwn(const std::shared_ptr<Pending>& pending, int index);
  void SetValue(const std::shared_ptr<Pending>& pending, int index, RewardPool::Result result);
  void Finish(Pending& pending);

  const Options options_;
  mutable absl::Mutex mu_;
  std::vector<ScoringJob> scored_ ABSL_GUARDED_BY(mu_);
  int64_t pending_ ABSL_GUARDED_BY(mu_) = 0;
  // By the serialized spec without its weight. Last: their threads use the others.
  std::map<std::string, std::unique_ptr<RewardPool>> pools_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_ROLLOUT_SCORER_H_
