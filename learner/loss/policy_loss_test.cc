#include "learner/loss/policy_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

at::Tensor Tensor(const std::vector<float>& values) { return at::tensor(values); }

// Two tokens whose probability ratio is `ratio`, with these advantages and weights 1.
PolicyLossInput Ratio(double ratio, const std::vector<float>& advantages) {
  const std::vector<float> old(advantages.size(), -2);
  PolicyLossInput input;
  input.old_logprobs = Tensor(old);
  input.behaviour_logprobs = input.old_logprobs;
  input.logprobs = (input.old_logprobs + std::log(ratio)).set_requires_grad(true);
  input.advantages = Tensor(advantages);
  input.weights = Tensor(std::vector<float>(advantages.size(), 1));
  return input;
}

PpoSettings::Clip Clip(double low, double high, double c = 0, double cap = 0) {
  PpoSettings::Clip clip;
  clip.set_ratio_low(low);
  clip.set_ratio_high(high);
  clip.set_ratio_c(c);
  clip.set_importance_cap(cap);
  return clip;
}

float Gradient(const PolicyLossInput& input, const PolicyLoss& loss) {
  loss.loss.backward();
  return input.logprobs.grad()[0].item<float>();
}

TEST(PolicyLossTest, InsideTheClipRangeItIsMinusRatioTimesAdvantage) {
  const PolicyLossInput input = Ratio(1.1, {2});
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 0.2));
  EXPECT_NEAR(loss.loss.item<float>(), -2.2, 1e-6);
  EXPECT_EQ(loss.clipped.item<double>(), 0);
  EXPECT_NEAR(loss.kl.item<double>(), -std::log(1.1), 1e-6);
  EXPECT_NEAR(Gradient(input, loss), -2.2, 1e-6);
}

TEST(PolicyLossTest, AGainOutsideTheClipRangeHasNoGradient) {
  for (const auto& [ratio, advantage, bound] :
       std::vector<std::tuple<double, float, double>>{{1.5, 2, 1.3}, {0.5, -2, 0.9}}) {
    const PolicyLossInput input = Ratio(ratio, {advantage});
    const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.1, 0.3));
    EXPECT_NEAR(loss.loss.item<float>(), -bound * advantage, 1e-6);
    EXPECT_EQ(loss.clipped.item<double>(), 1);
    EXPECT_EQ(Gradient(input, loss), 0);
  }
}

TEST(PolicyLossTest, ALossOutsideTheClipRangeKeepsItsGradient) {
  for (const auto& [ratio, advantage] :
       std::vector<std::pair<double, float>>{{0.5, 2.0f}, {1.5, -2.0f}}) {
    const PolicyLossInput input = Ratio(ratio, {advantage});
    const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.1, 0.3));
    EXPECT_NEAR(loss.loss.item<float>(), -ratio * advantage, 1e-6);
    EXPECT_EQ(loss.clipped.item<double>(), 0);
    EXPECT_NEAR(Gradient(input, loss), -ratio * advantage, 1e-6);
  }
}

TEST(PolicyLossTest, DualClipBoundsTheLossOfNegativeAdvantagesAlone) {
  const PolicyLossInput input = Ratio(5, {-2, 0.5f});
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 10, 3));
  EXPECT_NEAR(loss.loss.item<float>(), 3 * 2 - 5 * 0.5, 1e-5);
  EXPECT_EQ(loss.clipped_lower.item<double>(), 1);
  EXPECT_EQ(Gradient(input, loss), 0);
}

TEST(PolicyLossTest, DualClipLeavesSmallRatiosAndPositiveAdvantagesAlone) {
  const PolicyLossInput input = Ratio(1.1, {0.5f, -2});
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 0.2, 3));
  EXPECT_NEAR(loss.loss.item<float>(), -1.1 * 0.5 + 1.1 * 2, 1e-5);
  EXPECT_EQ(loss.clipped_lower.item<double>(), 0);
  EXPECT_NEAR(Gradient(input, loss), -1.1 * 0.5, 1e-5);
}

TEST(PolicyLossTest, IsTheSumByTheWeights) {
  PolicyLossInput input = Ratio(1, {1, 3});
  input.weights = Tensor({0.25f, 0.5f});
  EXPECT_NEAR(ClippedPolicyLoss(input, Clip(0.2, 0.2)).loss.item<float>(), -(0.25 + 1.5), 1e-6);
}

TEST(PolicyLossTest, TruncatedImportanceWeighsByOldOverBehaviour) {
  PolicyLossInput input = Ratio(1, {1, 1});
  input.behaviour_logprobs = input.old_logprobs - Tensor({0.5f, 2});
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 0.2, 0, 2));
  EXPECT_NEAR(loss.importance.item<double>(), std::exp(0.5) + 2, 1e-5);
  EXPECT_NEAR(loss.loss.item<float>(), -(std::exp(0.5) + 2), 1e-5);
  EXPECT_NEAR(Gradient(input, loss), -std::exp(0.5), 1e-5);
}

TEST(PolicyLossTest, AHugeRatioStaysFinite) {
  PolicyLossInput input = Ratio(1, {0, -1});
  input.logprobs = (input.old_logprobs + 1000).detach().set_requires_grad(true);
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 0.2));
  EXPECT_TRUE(std::isfinite(loss.loss.item<float>()));
  EXPECT_TRUE(std::isfinite(Gradient(input, loss)));
}

TEST(PolicyLossTest, LogRatiosBeyondTwentyAreClampedAndCounted) {
  PolicyLossInput input = Ratio(1, {1, -1, 1});
  input.logprobs = (input.old_logprobs + Tensor({0, 30, -19})).detach().set_requires_grad(true);
  input.behaviour_logprobs = input.old_logprobs + Tensor({500, 0, -19});
  const PolicyLoss loss = ClippedPolicyLoss(input, Clip(0.2, 0.2, 0, 2));
  EXPECT_EQ(loss.clamped.item<double>(),
            2);  // the first by its importance, the second by its ratio
  EXPECT_NEAR(loss.importance.item<double>(), std::exp(-20) + 1 + 2, 1e-5);
  EXPECT_TRUE(std::isfinite(loss.loss.item<float>()));
}

TEST(TokenWeightsTest, AddUpToOneWhereTheyAreMeans) {
  const std::vector<int64_t> lengths = {1, 3, 6};
  EXPECT_THAT(TokenWeights(PpoSettings::TOKEN_MEAN, lengths, 8), ElementsAre(0.1f, 0.1f, 0.1f));
  EXPECT_THAT(TokenWeights(PpoSettings::SEQ_MEAN_TOKEN_MEAN, lengths, 8),
              ElementsAre(FloatEq(1 / 3.0f), FloatEq(1 / 9.0f), FloatEq(1 / 18.0f)));
  EXPECT_THAT(TokenWeights(PpoSettings::SEQ_MEAN_TOKEN_SUM_NORM, lengths, 8),
              ElementsAre(FloatEq(1 / 24.0f), FloatEq(1 / 24.0f), FloatEq(1 / 24.0f)));
}

}  // namespace
}  // namespace reckon
