#ifndef RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_POLICY_GRADIENT_H_
#define RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_POLICY_GRADIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/policy_gradient/metrics.h"
#include "learner/experience/experience.h"
#include "learner/experience/kl.h"
#include "learner/report/reward_metrics.h"
#include "learner/sampling/rollout_stream.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "learner/update/scoring.h"

namespace reckon {

// Online policy gradients: PPO (Schulman et al. 2017; paper, section 3) with a critic and GAE, and
// GRPO, Dr. GRPO, RLOO and DAPO, whose baseline is the group. A round is a training step:
//
//   1. Sample `prompts` groups from the newest policy; with filter.groups further batches, until as
//      many groups have rewards that differ.
//   2. Rewards: the actors' (verdicts, steps), the reward model's, the overlong penalty.
//   3. Score the tokens under the policy as it is before the update (old), unless the actors'
//      log-probabilities are those (RecordedLogProbs); under the reference policy (the version
//      that the stage began with); and by the critic, unless 5 computes the same values: those of
//      the first minibatch, where nothing is whitened over the others.
//   4. Advantages: GAE, or each sample against its group.
//   5. For ppo_epochs passes over the shuffled samples, for each minibatch: one optimizer step on
//      the clipped policy loss, the KL penalty and the value loss.
//   6. Steer the KL coefficient.
//
// docs/algorithms.md compares the settings with the papers.
class PolicyGradient : public Algorithm {
 public:
  PolicyGradient(const RunConfig& config, int stage)
      : Algorithm(config, stage), settings_(this->stage().ppo()) {}

  int64_t rounds() const override { return settings_.steps(); }
  std::string round_word() const override { return "step"; }
  bool SavesAfter(int64_t round) const override { return EvaluatesAfter(round); }
  bool EvaluatesAfter(int64_t round) const override;
  bool ContinuesAfter(int64_t round) const override { return round + 1 < rounds(); }
  absl::Status Check(const ModelConfig& model, const RunData& data) const override;

  absl::Status Begin(RankContext& ranks) override;
  absl::Status Round(RankContext& ranks) override;
  absl::Status Published(RankContext& ranks, bool saved) override;
  const AdamMoments* moments() const override;

 private:
  using Experiences = std::vector<Experience>;

  bool HasReference() const { return settings_.kl().coef() > 0; }
  // Steps 1 and 2: the same experiences on every rank.
  absl::StatusOr<Experiences> Sample(RankContext& ranks);
  absl::StatusOr<Experiences> SampleBatch(RankContext& ranks);
  absl::StatusOr<std::vector<Rollout>> NextRollouts(RankContext& ranks);
  // Brings the samples of the loss into the order in which an epoch takes minibatches of them.
  void Order(const RunState& run, uint32_t epoch, std::vector<Experience*>* samples) const;
  // Step 3. `first`: the first minibatch, whose own pass may give the critic's values.
  absl::Status Score(RankContext& ranks, absl::Span<Experience* const> first,
                     Experiences* experiences);
  // By the policy, for old log-probabilities if asked for, and by the critic if there is one.
  absl::Status ScoreSamples(RankContext& ranks, absl::Span<Experience* const> samples,
                            bool logprobs);
  absl::Status ScoreReference(RankContext& ranks, Experiences* experiences);
  // Step 5.
  absl::Status Update(RankContext& ranks, std::vector<Experience*> samples, StepMetrics* metrics);

  const PpoSettings& settings_;
  std::unique_ptr<RolloutStream> stream_;   // the leader's
  std::unique_ptr<Transformer> reference_;  // with a KL penalty and without adapters
  std::unique_ptr<Critic> critic_;          // with GAE
  std::shared_ptr<PolicyUpdate> update_;    // from the first Round on, for all of them
  std::optional<KlCoefficient> kl_;
  RewardMetrics reward_metrics_;  // of the step's rollouts
  bool progress_shown_ = false;
  bool disagreement_told_ = false;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_POLICY_GRADIENT_H_
