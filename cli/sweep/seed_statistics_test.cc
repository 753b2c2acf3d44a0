#include "cli/sweep/seed_statistics.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(SeedStatisticsTest, TheIntervalIsThatOfStudentsT) {
  const SeedEstimate three = EstimateOverSeeds({1, 2, 3});
  EXPECT_EQ(three.seeds, 3);
  EXPECT_DOUBLE_EQ(three.mean, 2);
  // R: t.test(c(1, 2, 3))$conf.int
  EXPECT_NEAR(three.low(), -0.4841377, 1e-4);
  EXPECT_NEAR(three.high(), 4.4841377, 1e-4);
}

TEST(SeedStatisticsTest, TwoSeedsHaveARange) {
  const SeedEstimate two = EstimateOverSeeds({3, 1});
  EXPECT_EQ(two.low(), 1);
  EXPECT_EQ(two.high(), 3);
}

TEST(SeedStatisticsTest, OneSeedHasNoInterval) {
  const SeedEstimate one = EstimateOverSeeds({0.25});
  EXPECT_EQ(one.mean, 0.25);
  EXPECT_EQ(one.low(), one.high());
  EXPECT_EQ(EstimateOverSeeds({}).seeds, 0);
}

TEST(SeedStatisticsTest, QuantilesContinueBeyondTheTable) {
  EXPECT_NEAR(StudentT975(1), 12.7062, 1e-4);
  EXPECT_NEAR(StudentT975(31), 2.0395, 1e-4);  // R: qt(0.975, 31)
  EXPECT_NEAR(StudentT975(120), 1.9799, 1e-4);
  for (size_t degrees = 1; degrees < 100; ++degrees) {
    EXPECT_GT(StudentT975(degrees), StudentT975(degrees + 1)) << degrees;
  }
}

}  // namespace
}  // namespace reckon
