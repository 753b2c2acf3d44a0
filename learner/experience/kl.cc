#include "learner/experience/kl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/exp.h>

#include <algorithm>
#include <cmath>

namespace reckon {

at::Tensor ClampedRatio(const at::Tensor& log_ratio) {
  return at::exp(at::clamp(log_ratio, -kMaxLogRatio, kMaxLogRatio));
}

at::Tensor IsClamped(const at::Tensor& log_ratio) {
  return log_ratio.detach().abs().gt(kMaxLogRatio);
}

at::Tensor KlEstimate(PpoSettings::Kl::Estimator estimator, const at::Tensor& logprobs,
                      const at::Tensor& ref_logprobs) {
  const at::Tensor whole = logprobs - ref_logprobs;
  if (estimator == PpoSettings::Kl::K1) return whole;
  const at::Tensor d = at::clamp(whole, -kMaxLogRatio, kMaxLogRatio);
  return estimator == PpoSettings::Kl::K2 ? d * d * 0.5 : at::exp(-d) - 1 + d;
}

double KlEstimate(PpoSettings::Kl::Estimator estimator, double logprob, double ref_logprob) {
  const double whole = logprob - ref_logprob;
  if (estimator == PpoSettings::Kl::K1) return whole;
  const double d = std::clamp(whole, -kMaxLogRatio, kMaxLogRatio);
  return estimator == PpoSettings::Kl::K2 ? d * d / 2 : std::expm1(-d) + d;
}

void KlCoefficient::Update(double kl, double samples) {
  if (target_ <= 0) return;
  value_ *= 1 + std::clamp(kl / target_ - 1, -0.2, 0.2) * std::min(samples / horizon_, 1.0);
}

}  // namespace reckon
