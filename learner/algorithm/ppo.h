#ifndef RECKON_LEARNER_ALGORITHM_PPO_H_
#define RECKON_LEARNER_ALGORITHM_PPO_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/experience.h"
#include "learner/algorithm/rollout_stream.h"
#include "learner/loss/kl.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "learner/update/scoring.h"

namespace reckon {

// Online policy gradients, one round a step: takes the step's rollouts, adds the learner's own
// numbers (log-probabilities, those of the reference, values), estimates advantages, and goes
// through the samples for ppo_epochs in minibatches. The optimizer goes on from step to step.
class Ppo : public Algorithm {
 public:
  explicit Ppo(PpoSettings settings) : settings_(std::move(settings)) {}

  int64_t rounds() const override { return settings_.steps(); }
  absl::Status Begin(LearnerContext& context) override;
  absl::Status Round(LearnerContext& context) override;
  absl::Status Published(LearnerContext& context, bool saved) override;
  bool SavesAfter(int64_t round) const override { return EvaluatesAfter(round); }
  bool EvaluatesAfter(int64_t round) const override;
  const AdamMoments* moments() const override;

 private:
  bool HasReference() const { return settings_.kl_coef() > 0; }
  // Log-probabilities of the policy that the stage began with.
  absl::Status ScoreReference(LearnerContext& context,
                              absl::Span<const TrainingSequence* const> sequences,
                              TokenValues* logprobs);
  absl::Status PrepareUpdate(LearnerContext& context);
  // The step's samples, the same on every rank: of one batch, or of as many as it takes.
  absl::StatusOr<std::vector<Experience>> Sample(LearnerContext& context);
  absl::StatusOr<std::vector<Experience>> SampleBatch(LearnerContext& context);
  absl::Status Score(LearnerContext& context, std::vector<Experience>* step);
  absl::Status Update(LearnerContext& context, const std::vector<Experience>& step,
                      std::map<std::string, double>* metrics);
  absl::Status Report(LearnerContext& context, const std::map<std::string, double>& metrics);

  const PpoSettings settings_;
  std::unique_ptr<RolloutStream> stream_;   // rank 0
  std::unique_ptr<Transformer> reference_;  // with a KL penalty and without adapters
  std::unique_ptr<Critic> critic_;          // with GAE
  std::unique_ptr<PolicyUpdate> update_;
  std::optional<KlCoefficient> kl_;
  bool phase_begun_ = false;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_PPO_H_
