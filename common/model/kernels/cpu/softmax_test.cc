#include "common/model/kernels/cpu/softmax.h"

#include <cmath>
#include <limits>
#include <vector>

#include "common/base/rng.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float Exp(float x) {
  ExpShifted(&x, 1, 1.0f, 0.0f, &x);
  return x;
}

TEST(SoftmaxTest, ExpIsExactToTwoTenMillionths) {
  for (float x = -87.0f; x < 88.0f; x += 0.013f) {
    const double wanted = std::exp(static_cast<double>(x));
    // x log2(e), rounded to fp32, is off by up to 4e-6 where it is large.
    const double bound = 2e-7 + std::abs(x) * 1.2e-7;
    ASSERT_NEAR(Exp(x) / wanted, 1.0, bound) << x;
  }
  EXPECT_EQ(Exp(0), 1.0f);
}

TEST(SoftmaxTest, ExpHasBounds) {
  for (const float x : {-88.1f, -1000.0f, -1e30f, -kInfinity}) EXPECT_EQ(Exp(x), 0.0f) << x;
  for (const float x : {-88.0f, -87.5f, -87.34f}) {
    EXPECT_GE(Exp(x), 0.0f) << x;
    EXPECT_LT(Exp(x), 1.2e-38f) << x;
  }
  for (const float x : {89.0f, 1e30f, kInfinity}) EXPECT_EQ(Exp(x), std::ldexp(1.0f, 127)) << x;
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
}

// In place or not, for lengths with and without a rest.
TEST(SoftmaxTest, ExpSumIsTheSumOfItsTerms) {
  CounterRng rng(3);
  for (const int64_t n : {0, 1, 15, 16, 17, 31, 111, 4096}) {
    std::vector<float> x(n);
    for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(4 * rng.Uniform(i));
    std::vector<float> terms(n), again(n);
    ExpShifted(x.data(), n, 0.7f, 3.0f, terms.data());
    EXPECT_EQ(ExpSum(x.data(), n, 0.7f, 3.0f, again.data()), SumFixed(terms.data(), n)) << n;
    EXPECT_EQ(again, terms) << n;
    EXPECT_EQ(ExpSum(x.data(), n, 0.7f, 3.0f, x.data()), SumFixed(terms.data(), n)) << n;
    EXPECT_EQ(x, terms) << n;
  }
}

TEST(SoftmaxTest, MaxAndSumSeeEveryNumber) {
  for (const int64_t n : {1, 7, 16, 33, 48}) {
    for (int64_t at = 0; at < n; ++at) {
      std::vector<float> x(n, -2.0f);
      x[at] = -1.0f;
      EXPECT_EQ(MaxOf(x.data(), n), -1.0f) << at << " of " << n;
      EXPECT_EQ(SumFixed(x.data(), n), 1.0f - 2.0f * static_cast<float>(n)) << at << " of " << n;
    }
  }
}

TEST(SoftmaxTest, LogSumExpOfLargeLogitsIsFinite) {
  std::vector<float> logits = {1000.0f, 1001.0f, -1000.0f}, terms(3);
  float max, sum;
  const float got = LogSumExp(logits.data(), 3, 0.5f, &max, &sum, terms.data());
  EXPECT_EQ(max, 500.5f);
  EXPECT_NEAR(sum, 1 + std::exp(-0.5), 1e-6);
  EXPECT_NEAR(got, 500.5 + std::log(1 + std::exp(-0.5)), 1e-4);
  EXPECT_EQ(terms[2], 0.0f);
}

}  // namespace
}  // namespace reckon
