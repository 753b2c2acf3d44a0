#include "learner/evaluate/calibration.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(CalibrationTest, AreaUnderCurveIsTheShareOfPairsInOrder) {
  EXPECT_EQ(AreaUnderCurve({{0.9, true}, {0.1, false}}), 1);
  EXPECT_EQ(AreaUnderCurve({{0.1, true}, {0.9, false}}), 0);
  EXPECT_EQ(AreaUnderCurve({{0.5, true}, {0.5, false}}), 0.5);
  // Of six pairs four are in order and one is tied.
  EXPECT_DOUBLE_EQ(
      AreaUnderCurve({{0.8, true}, {0.4, true}, {0.2, true}, {0.2, false}, {0.6, false}}),
      (2 + 1 + 0.5) / 6);
  EXPECT_EQ(AreaUnderCurve({{0.9, true}}), 0.5);
  EXPECT_EQ(AreaUnderCurve({}), 0.5);
}

TEST(CalibrationTest, AnHonestModelHasNoCalibrationError) {
  EXPECT_DOUBLE_EQ(CalibrationError({{0.5, true}, {0.5, false}, {1, true}, {0, false}}), 0);
  EXPECT_DOUBLE_EQ(CalibrationError({{0.95, false}, {0.91, false}}), 0.93);
  // Each is alone in its bin, of ten.
  EXPECT_DOUBLE_EQ(CalibrationError({{0.25, true}, {0.35, false}}), (0.75 + 0.35) / 2);
  // Bins that err in opposite directions do not make up for one another.
  EXPECT_DOUBLE_EQ(CalibrationError({{0.25, true}, {0.75, false}}), 0.75);
  EXPECT_DOUBLE_EQ(BrierScore({{0.5, true}, {1, false}}), (0.25 + 1) / 2);
}

}  // namespace
}  // namespace reckon
