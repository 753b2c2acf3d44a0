#ifndef RECKON_LEARNER_EXPERIENCE_KL_H_
#define RECKON_LEARNER_EXPERIENCE_KL_H_

#include "ATen/core/Tensor.h"
#include "proto/config.pb.h"

namespace reckon {

// A log-ratio, i.e. the difference of two log-probabilities of a token, is clamped to this on both
// sides before it is exponentiated or squared, as verl does (kl_penalty, compute_policy_loss): far
// apart policies give large losses, but no infinity. Beyond it there is no gradient. The metrics
// actor/ratio_clampfrac and actor/kl_clampfrac count the tokens.
constexpr double kMaxLogRatio = 20;

// exp(log_ratio), clamped: [n] -> [n], differentiable.
at::Tensor ClampedRatio(const at::Tensor& log_ratio);
// Which entries are clamped: [n] -> [n] of bool.
at::Tensor IsClamped(const at::Tensor& log_ratio);

// Estimates of KL(policy || reference policy) at tokens that the policy sampled (Schulman,
// "Approximating KL divergence", 2020), with d = log policy - log reference, clamped but for K1:
//   K1  d               unbiased, may be negative
//   K2  d^2 / 2         biased, its gradient is that of the KL
//   K3  exp(-d) - 1 + d unbiased and never negative (DeepSeekMath, eq. 4)
// One estimate a token: [n], [n] -> [n] fp32, differentiable in `logprobs`.
at::Tensor KlEstimate(PpoSettings::Kl::Estimator estimator, const at::Tensor& logprobs,
                      const at::Tensor& ref_logprobs);
// The same for one token, in double.
double KlEstimate(PpoSettings::Kl::Estimator estimator, double logprob, double ref_logprob);

// The coefficient of a KL penalty: fixed, or steered towards a target (Ziegler et al. 2019, section
// 2.2; trlX, TRL). One thread.
class KlCoefficient {
 public:
  // `target`: mean KL of a sample in nats; 0: the coefficient stays `initial`. `horizon`: samples.
  KlCoefficient(double initial, double target, double horizon)
      : value_(initial), target_(target), horizon_(horizon) {}

  double value() const { return value_; }
  void Restore(double value) { value_ = value; }
  // After `samples` samples whose mean KL was `kl`:
  //   value *= 1 + clip(kl / target - 1, -0.2, 0.2) * min(samples / horizon, 1)
  // The minimum is ours: without it a step of more than five horizons makes the value negative.
  void Update(double kl, double samples);

 private:
  double value_;
  const double target_, horizon_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_KL_H_
