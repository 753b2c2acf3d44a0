#include "learner/loss/kl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>

#include <algorithm>
#include <cmath>

namespace reckon {

at::Tensor KlEstimate(KlEstimator estimator, const at::Tensor& logprobs,
                      const at::Tensor& ref_logprobs) {
  const at::Tensor d = logprobs - ref_logprobs;
  switch (estimator) {
    case KlEstimator::kK1:
      return d;
    case KlEstimator::kK2:
      return d * d * 0.5;
    case KlEstimator::kK3:
      break;
  }
  return at::exp(-d) - 1 + d;
}

double KlEstimate(KlEstimator estimator, double logprob, double ref_logprob) {
  const double d = logprob - ref_logprob;
  switch (estimator) {
    case KlEstimator::kK1:
      return d;
    case KlEstimator::kK2:
      return d * d / 2;
    case KlEstimator::kK3:
      break;
  }
  return std::expm1(-d) + d;
}

void KlCoefficient::Update(double kl, double samples) {
  if (target_ <= 0) return;
  value_ *= 1 + std::clamp(kl / target_ - 1, -0.2, 0.2) * samples / horizon_;
}

}  // namespace reckon
