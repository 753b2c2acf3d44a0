#ifndef RECKON_LEARNER_LOSS_KL_H_
#define RECKON_LEARNER_LOSS_KL_H_

#include "ATen/core/Tensor.h"

namespace reckon {

// Estimators of KL(policy || reference) from tokens that the policy sampled (Schulman,
// "Approximating KL divergence", 2020), with d = log policy - log reference: k1 = d, unbiased;
// k2 = d^2 / 2; k3 = exp(-d) - 1 + d, unbiased and never negative.
enum class KlEstimator { kK1, kK2, kK3 };

// Of each token, [n] -> [n] fp32; differentiable in `logprobs`.
at::Tensor KlEstimate(KlEstimator estimator, const at::Tensor& logprobs,
                      const at::Tensor& ref_logprobs);
// Of one token.
double KlEstimate(KlEstimator estimator, double logprob, double ref_logprob);

// The coefficient of a KL penalty: fixed, or steered towards a target (Ziegler et al. 2019, section
// 2.2; trlX, TRL): after n samples with mean sequence KL `kl` it is multiplied by
// 1 + clip(kl / target - 1, -0.2, 0.2) n / horizon.
class KlCoefficient {
 public:
  // target 0: fixed.
  KlCoefficient(double initial, double target, double horizon)
      : value_(initial), target_(target), horizon_(horizon) {}

  double value() const { return value_; }
  void Restore(double value) { value_ = value; }
  void Update(double kl, double samples);

 private:
  double value_;
  const double target_, horizon_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_KL_H_
