#include "learner/loss/kl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>

#include <algorithm>
#include <cmath>

namespace reckon {

at::Tensor KlEstimate(PpoSettings::Kl::Estimator estimator, const at::Tensor& logprobs,
                      const at::Tensor& ref_logprobs) {
  const at::Tensor d = logprobs - ref_logprobs;
  switch (estimator) {
    case PpoSettings::Kl::K1:
      return d;
    case PpoSettings::Kl::K2:
      return d * d * 0.5;
    case PpoSettings::Kl::K3:
      break;
  }
  return at::exp(-d) - 1 + d;
}

double KlEstimate(PpoSettings::Kl::Estimator estimator, double logprob, double ref_logprob) {
  const double d = logprob - ref_logprob;
  switch (estimator) {
    case PpoSettings::Kl::K1:
      return d;
    case PpoSettings::Kl::K2:
      return d * d / 2;
    case PpoSettings::Kl::K3:
      break;
  }
  return std::expm1(-d) + d;
}

void KlCoefficient::Update(double kl, double samples) {
  if (target_ <= 0) return;
  value_ *= 1 + std::clamp(kl / target_ - 1, -0.2, 0.2) * samples / horizon_;
}

}  // namespace reckon
