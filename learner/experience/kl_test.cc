#include "learner/experience/kl.h"

#include <ATen/ops/tensor.h>

#include <cmath>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(KlTest, TheEstimatorsAgreeForPoliciesThatAreClose) {
  const double ref = -1, logprob = -1.001;
  EXPECT_NEAR(KlEstimate(PpoSettings::Kl::K2, logprob, ref),
              KlEstimate(PpoSettings::Kl::K3, logprob, ref), 1e-8);
  EXPECT_DOUBLE_EQ(KlEstimate(PpoSettings::Kl::K1, logprob, ref), logprob - ref);
  EXPECT_GE(KlEstimate(PpoSettings::Kl::K3, -1, -5), 0);
  EXPECT_GE(KlEstimate(PpoSettings::Kl::K3, -5, -1), 0);
}

TEST(KlCoefficientTest, IsSteeredTowardsTheTargetByAFifthAtMost) {
  KlCoefficient fixed(0.05, 0, 100);
  fixed.Update(10, 50);
  EXPECT_EQ(fixed.value(), 0.05);
  KlCoefficient steered(0.05, 6, 100);
  steered.Update(60, 50);  // far above: error clipped to 0.2
  EXPECT_DOUBLE_EQ(steered.value(), 0.05 * 1.1);
  steered.Update(3, 100);  // half: clipped to -0.2
  EXPECT_DOUBLE_EQ(steered.value(), 0.05 * 1.1 * 0.8);
  steered.Update(6.6, 100);
  EXPECT_NEAR(steered.value(), 0.05 * 1.1 * 0.8 * 1.1, 1e-12);
  KlCoefficient many(0.05, 6, 100);
  many.Update(0, 1000);  // ten horizons
  EXPECT_DOUBLE_EQ(many.value(), 0.05 * 0.8);
}

TEST(KlTest, TheTensorAndTheScalarFormulasAgree) {
  const std::vector<float> logprobs = {-1, -2, -0.25f}, ref = {-1, -0.5f, -3};
  for (auto estimator : {PpoSettings::Kl::K1, PpoSettings::Kl::K2, PpoSettings::Kl::K3}) {
    const at::Tensor all = KlEstimate(estimator, at::tensor(logprobs), at::tensor(ref));
    for (size_t i = 0; i < logprobs.size(); ++i) {
      EXPECT_NEAR(all[static_cast<int64_t>(i)].item<float>(),
                  KlEstimate(estimator, logprobs[i], ref[i]), 1e-6);
    }
  }
}

TEST(KlTest, TheGradientsAreThoseOfTheFormulas) {
  const double d = 0.5;  // log policy - log reference
  const std::pair<PpoSettings::Kl::Estimator, double> expected[] = {
      {PpoSettings::Kl::K1, 1}, {PpoSettings::Kl::K2, d}, {PpoSettings::Kl::K3, 1 - std::exp(-d)}};
  for (const auto& [estimator, gradient] : expected) {
    at::Tensor logprobs = at::tensor(std::vector<float>{-1}).set_requires_grad(true);
    KlEstimate(estimator, logprobs, at::tensor(std::vector<float>{-1.5f})).sum().backward();
    EXPECT_NEAR(logprobs.grad()[0].item<float>(), gradient, 1e-6);
  }
}

TEST(KlTest, FarFromTheReferenceEveryEstimateAndItsGradientAreFinite) {
  for (const auto& [policy, ref] : {std::pair(-0.001f, -1e4f), std::pair(-1e4f, -0.001f)}) {
    for (auto estimator : {PpoSettings::Kl::K1, PpoSettings::Kl::K2, PpoSettings::Kl::K3}) {
      at::Tensor logprobs = at::tensor(std::vector<float>{policy}).set_requires_grad(true);
      const at::Tensor kl = KlEstimate(estimator, logprobs, at::tensor(std::vector<float>{ref}));
      kl.sum().backward();
      EXPECT_TRUE(std::isfinite(logprobs.grad()[0].item<float>()));
      EXPECT_NEAR(kl[0].item<float>() / KlEstimate(estimator, policy, ref), 1, 1e-5);
    }
  }
  // exp(20) is the largest, at a log-ratio of -20 as at -10000.
  EXPECT_DOUBLE_EQ(KlEstimate(PpoSettings::Kl::K3, -1e4, 0), std::expm1(20) - 20);
  EXPECT_DOUBLE_EQ(KlEstimate(PpoSettings::Kl::K2, 0, -1e4), 200);
  EXPECT_DOUBLE_EQ(KlEstimate(PpoSettings::Kl::K1, 0, -1e4), 1e4);
  const at::Tensor clamped = IsClamped(at::tensor(std::vector<float>{-21, -20, 0, 20, 20.5f}));
  EXPECT_EQ(clamped.sum().item<int64_t>(), 2);
}

TEST(KlCoefficientTest, ContinuesFromARestoredValue) {
  KlCoefficient steered(0.05, 6, 100);
  steered.Restore(0.5);
  steered.Update(6, 100);  // at the target
  EXPECT_EQ(steered.value(), 0.5);
}

}  // namespace
}  // namespace reckon
