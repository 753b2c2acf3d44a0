#ifndef RECKON_LEARNER_ALGORITHM_PPO_LOSS_H_
#define RECKON_LEARNER_ALGORITHM_PPO_LOSS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "learner/algorithm/experience.h"
#include "learner/loss/kl.h"
#include "learner/loss/policy_loss.h"
#include "learner/parallel/parallel.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"

namespace reckon {

KlEstimator EstimatorOf(const PpoSettings& settings);

// Fills in advantages and returns of a step's samples, which all have their learner's numbers:
// rewards come at the last token, those of steps where they end, less the KL penalty of each token
// if it is in the reward. Group estimators add them up. Returns the mean KL of a token.
double FillAdvantages(const PpoSettings& settings, double kl_coef, std::vector<Experience>* step);

// The loss of one minibatch after another: clipped policy loss, KL if it is in the loss, clipped
// value loss. Adds up what the step reports. One thread; `critic` may be null.
class PpoLoss : public SequenceLoss {
 public:
  PpoLoss(const PpoSettings& settings, double kl_coef, Critic* critic)
      : settings_(settings), kl_coef_(kl_coef), critic_(critic) {}

  // The minibatch whose loss is asked for next.
  void SetBatch(std::vector<const Experience*> batch);

  at::Tensor Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                const TokenStates& states) override;
  void Begin(absl::Span<const TrainingSequence* const> batch) override;
  TokenQuery query() const override;

  // Sums over ranks and minibatches, divided by tokens or minibatches. All ranks call it.
  absl::Status Metrics(Parallel& parallel, std::map<std::string, double>* out);

 private:
  enum Sum {
    kTokens,
    kPolicy,
    kClipped,
    kClippedLower,
    kKl,
    kImportance,
    kKlLoss,
    kValue,
    kValueClipped,
    kSums
  };

  const PpoSettings& settings_;
  const double kl_coef_;
  Critic* const critic_;
  std::vector<const Experience*> batch_;
  std::vector<float> weights_;  // of a token of each sequence
  std::vector<float> sums_ = std::vector<float>(kSums);
  double minibatches_ = 0;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_PPO_LOSS_H_
