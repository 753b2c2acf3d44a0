#include "learner/loss/advantage.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/loss/kl.h"
#include "learner/loss/policy_loss.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::FloatNear;

TEST(GaeTest, WithLambdaOneTheReturnIsWhatFollows) {
  const Advantages out = Gae({0, 0, 1}, {0.5f, 0.25f, 0.75f}, 1, 1);
  EXPECT_THAT(out.returns, ElementsAre(FloatEq(1), FloatEq(1), FloatEq(1)));
  EXPECT_THAT(out.advantages, ElementsAre(FloatEq(0.5f), FloatEq(0.75f), FloatEq(0.25f)));
}

TEST(GaeTest, WithLambdaZeroTheAdvantageIsOneStepsSurprise) {
  const Advantages out = Gae({0, 0, 1}, {0.5f, 0.25f, 0.75f}, 0.5, 0);
  EXPECT_THAT(out.advantages, ElementsAre(FloatEq(-0.375f), FloatEq(0.125f), FloatEq(0.25f)));
}

TEST(GroupAdvantagesTest, CompareASampleWithTheOthersOfItsPrompt) {
  EXPECT_THAT(GroupAdvantages({1, 0, 0, 1}, GroupBaseline::kDrGrpo),
              ElementsAre(0.5f, -0.5f, -0.5f, 0.5f));
  EXPECT_THAT(GroupAdvantages({1, 0, 0}, GroupBaseline::kRloo),
              ElementsAre(FloatEq(1), FloatEq(-0.5f), FloatEq(-0.5f)));
  // The standard deviation of {1, 0} with K - 1 below is sqrt(1/2).
  EXPECT_THAT(GroupAdvantages({1, 0}, GroupBaseline::kGrpo),
              ElementsAre(FloatNear(0.70710f, 1e-4f), FloatNear(-0.70710f, 1e-4f)));
}

TEST(GroupAdvantagesTest, AGroupOfOneRewardTeachesNothing) {
  for (auto kind : {GroupBaseline::kGrpo, GroupBaseline::kDrGrpo, GroupBaseline::kRloo}) {
    EXPECT_THAT(GroupAdvantages({1, 1, 1}, kind), ElementsAre(0, 0, 0));
  }
}

TEST(WhitenTest, GivesMeanZeroAndVarianceOneOverAllParts) {
  std::vector<float> a = {1, 2}, b = {6}, none;
  Whiten({&a, &none, &b});
  EXPECT_NEAR(a[0] + a[1] + b[0], 0, 1e-6);
  EXPECT_NEAR(a[0] * a[0] + a[1] * a[1] + b[0] * b[0], 3, 1e-5);
  std::vector<float> same = {2, 2};
  Whiten({&same});
  EXPECT_THAT(same, ElementsAre(0, 0));
}

TEST(ExplainedVarianceTest, IsOneForAPerfectCriticAndZeroForAConstant) {
  EXPECT_DOUBLE_EQ(ExplainedVariance({1, 2, 3}, {1, 2, 3}), 1);
  EXPECT_DOUBLE_EQ(ExplainedVariance({5, 5, 5}, {1, 2, 3}), 0);
  EXPECT_DOUBLE_EQ(ExplainedVariance({5, 6, 5}, {1, 1, 1}), 0);
  EXPECT_LT(ExplainedVariance({3, 2, 1}, {1, 2, 3}), 0);
}

TEST(KlTest, TheEstimatorsAgreeForPoliciesThatAreClose) {
  const double ref = -1, logprob = -1.001;
  EXPECT_NEAR(KlEstimate(KlEstimator::kK2, logprob, ref),
              KlEstimate(KlEstimator::kK3, logprob, ref), 1e-8);
  EXPECT_DOUBLE_EQ(KlEstimate(KlEstimator::kK1, logprob, ref), logprob - ref);
  EXPECT_GE(KlEstimate(KlEstimator::kK3, -1, -5), 0);
  EXPECT_GE(KlEstimate(KlEstimator::kK3, -5, -1), 0);
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
}

TEST(TokenWeightsTest, AddUpToOneWhereTheyAreMeans) {
  const std::vector<int64_t> lengths = {1, 3, 6};
  EXPECT_THAT(TokenWeights(LossAggMode::kTokenMean, lengths, 8), ElementsAre(0.1f, 0.1f, 0.1f));
  EXPECT_THAT(TokenWeights(LossAggMode::kSeqMeanTokenMean, lengths, 8),
              ElementsAre(FloatEq(1 / 3.0f), FloatEq(1 / 9.0f), FloatEq(1 / 18.0f)));
  EXPECT_THAT(TokenWeights(LossAggMode::kSeqMeanTokenSumNorm, lengths, 8),
              ElementsAre(FloatEq(1 / 24.0f), FloatEq(1 / 24.0f), FloatEq(1 / 24.0f)));
}

}  // namespace
}  // namespace reckon
