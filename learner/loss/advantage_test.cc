#include "learner/loss/advantage.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::FloatNear;

TEST(GaeTest, WithLambdaOneTheReturnIsTheSumOfLaterRewards) {
  const Advantages out = Gae({0, 0, 1}, {0.5f, 0.25f, 0.75f}, 1, 1);
  EXPECT_THAT(out.returns, ElementsAre(FloatEq(1), FloatEq(1), FloatEq(1)));
  EXPECT_THAT(out.advantages, ElementsAre(FloatEq(0.5f), FloatEq(0.75f), FloatEq(0.25f)));
}

TEST(GaeTest, WithLambdaZeroTheAdvantageIsTheErrorOfOneStep) {
  const Advantages out = Gae({0, 0, 1}, {0.5f, 0.25f, 0.75f}, 0.5, 0);
  EXPECT_THAT(out.advantages, ElementsAre(FloatEq(-0.375f), FloatEq(0.125f), FloatEq(0.25f)));
}

TEST(GaeTest, BetweenBothLaterErrorsCountByGammaTimesLambda) {
  const Advantages out = Gae({0, 0, 1}, {0.5f, 0.25f, 0.75f}, 0.5, 0.5);
  const double last = 0.25, middle = 0.125 + 0.25 * last, first = -0.375 + 0.25 * middle;
  EXPECT_THAT(out.advantages, ElementsAre(FloatEq(first), FloatEq(middle), FloatEq(last)));
  EXPECT_THAT(out.returns, ElementsAre(FloatEq(first + 0.5), FloatEq(middle + 0.25), FloatEq(1)));
}

TEST(GroupAdvantagesTest, CompareASampleWithTheOthersOfItsPrompt) {
  EXPECT_THAT(GroupAdvantages({1, 0, 0, 1}, PpoSettings::Advantage::DR_GRPO),
              ElementsAre(0.5f, -0.5f, -0.5f, 0.5f));
  EXPECT_THAT(GroupAdvantages({1, 0, 0}, PpoSettings::Advantage::RLOO),
              ElementsAre(FloatEq(1), FloatEq(-0.5f), FloatEq(-0.5f)));
  // The standard deviation of {1, 0} with K - 1 below is sqrt(1/2).
  EXPECT_THAT(GroupAdvantages({1, 0}, PpoSettings::Advantage::GRPO),
              ElementsAre(FloatNear(0.70710f, 1e-4f), FloatNear(-0.70710f, 1e-4f)));
}

TEST(GroupAdvantagesTest, AGroupOfOneRewardTeachesNothing) {
  for (auto kind : {PpoSettings::Advantage::GRPO, PpoSettings::Advantage::DR_GRPO,
                    PpoSettings::Advantage::RLOO}) {
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

}  // namespace
}  // namespace reckon
