#include "learner/loss/value_loss.h"

#include <ATen/ops/tensor.h>

#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

ValueLossInput Input(const std::vector<float>& values, const std::vector<float>& old_values,
                     const std::vector<float>& returns) {
  return {.values = at::tensor(values).set_requires_grad(true),
          .old_values = at::tensor(old_values),
          .returns = at::tensor(returns),
          .weights = at::tensor(std::vector<float>(values.size(), 0.5f))};
}

TEST(ValueLossTest, IsHalfTheWeightedSquaredError) {
  const ValueLossInput input = Input({1, 3}, {0, 0}, {2, 1});
  const ValueLoss loss = ClippedValueLoss(input, 0);
  EXPECT_FLOAT_EQ(loss.loss.item<float>(), 0.5f * 0.5f * (1 + 4));
  EXPECT_FALSE(loss.clipped.defined());
  loss.loss.backward();
  EXPECT_FLOAT_EQ(input.values.grad()[0].item<float>(), 0.5f * (1 - 2));
  EXPECT_FLOAT_EQ(input.values.grad()[1].item<float>(), 0.5f * (3 - 1));
}

TEST(ValueLossTest, AMoveBeyondTheClipRangeTeachesNothingMore) {
  // Both moved by 1 where 0.2 is allowed: the first towards its return, the second past it.
  const ValueLossInput input = Input({1, 1}, {0, 0}, {2, 0.25f});
  const ValueLoss loss = ClippedValueLoss(input, 0.2);
  EXPECT_FLOAT_EQ(loss.loss.item<float>(), 0.25f * (1.8f * 1.8f + 0.75f * 0.75f));
  EXPECT_EQ(loss.clipped.item<double>(), 1);
  loss.loss.backward();
  EXPECT_EQ(input.values.grad()[0].item<float>(), 0);
  EXPECT_FLOAT_EQ(input.values.grad()[1].item<float>(), 0.5f * 0.75f);
}

TEST(ValueLossTest, TheClipRangeIsTheSameOnBothSidesAndAMoveWithinItIsNotClipped) {
  const ValueLoss loss = ClippedValueLoss(Input({-1, 0.1f}, {0, 0}, {-2, 1}), 0.2);
  EXPECT_NEAR(loss.loss.item<float>(), 0.25 * (1.8 * 1.8 + 0.9 * 0.9), 1e-6);
  EXPECT_EQ(loss.clipped.item<double>(), 1);
}

}  // namespace
}  // namespace reckon
