#ifndef RECKON_LEARNER_LOSS_PPO_LOSS_H_
#define RECKON_LEARNER_LOSS_PPO_LOSS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "learner/experience/experience.h"
#include "learner/parallel/parallel.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"

namespace reckon {

// KL(policy, reference policy) over the sampled tokens of a step.
struct TokenKl {
  double mean = 0;     // estimate of a token
  double clamped = 0;  // proportion of tokens whose log-ratio was beyond kMaxLogRatio (kl.h)
};

// Fills in the advantages, and with GAE the returns, of a step's samples from their rewards, old
// and reference log-probabilities and values. Every rank computes the same.
//
// The reward r_t of token t for GAE, with T the last token:
//   r_t = step reward at t - [kl.place is REWARD] kl_coef KL_t,   r_T += reward - all step rewards
// (InstructGPT; Ziegler et al. 2019, eq. 2). With a group estimator
//   A_t = GroupAdvantages(rewards) - [kl.place is REWARD] kl_coef sum of KL_s over s >= t
// (REINFORCE++, Hu 2025, for the second term): the group compares what the task pays. Were the
// penalty inside, a deviation of rewards that are all equal would be that of the KL alone, and
// dividing by it would make advantages of full size of it. A group of one reward teaches nothing
// but its KL. A sample with values_in_pass gets its advantages and returns later (PpoLoss).
TokenKl FillAdvantages(const PpoSettings& settings, double kl_coef, std::vector<Experience>* step);

// What PPO asks a forward pass for: log-probabilities under the distribution that was sampled from
// and, when there is a critic, what it reads. `critic` may be null.
TokenQuery PpoQuery(const PpoSettings& settings, const Critic* critic);

// The loss of the minibatches of one step, one after another (Schulman et al. 2017, eq. 9, without
// the entropy bonus):
//   policy loss + [kl.place is LOSS] kl_coef KL + critic.vf_coef value loss
// and the metrics actor/* and critic/* of all of them. Owned by one step of the algorithm on its
// thread; `critic` may be null and `settings` must outlive it.
//
// A sample with values_in_pass has no old values yet. The first minibatch computes them anyway,
// with the critic as it is before any update: its pass gives them, and they the sample's advantages
// and returns, before its loss. ShareValues then tells the other ranks.
class PpoLoss : public SequenceLoss {
 public:
  PpoLoss(const PpoSettings& settings, double kl_coef, Critic* critic)
      : settings_(settings), kl_coef_(kl_coef), critic_(critic) {}

  // Sets the minibatch of the next PolicyUpdate::Step, whose sequences are those of `batch`.
  void SetBatch(std::vector<Experience*> batch);

  at::Tensor Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                const TokenStates& states) override;
  void Begin(absl::Span<const TrainingSequence* const> batch) override;
  TokenQuery query() const override;
  // After the Step of the first minibatch: every rank gets what its passes added to the samples
  // with values_in_pass, which have all they need from then on. All ranks must call it.
  absl::Status ShareValues(Parallel& parallel);

  // Adds the metrics: sums over ranks and minibatches, divided by tokens or minibatches. All ranks
  // must call it.
  absl::Status Metrics(Parallel& parallel, std::map<std::string, double>* out);

 private:
  enum Sum {
    kTokens,
    kPolicy,
    kClipped,
    kClippedLower,
    kClamped,
    kKl,
    kImportance,
    kKlLoss,
    kKlClamped,
    kValue,
    kValueClipped,
    kSums
  };

  void Add(Sum sum, const at::Tensor& value);  // an undefined value is none
  // Gives those of the micro-batch with values_in_pass their values, advantages and returns.
  void TakeValues(const std::vector<size_t>& sequences, const at::Tensor& values);

  const PpoSettings& settings_;
  const double kl_coef_;
  Critic* const critic_;
  std::vector<Experience*> batch_;
  std::vector<float> weights_;  // of a token of each sequence
  // [kSums] fp32 on the device of the model, where the sums of a step add up; undefined at first.
  at::Tensor sums_;
  double minibatches_ = 0;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_PPO_LOSS_H_
