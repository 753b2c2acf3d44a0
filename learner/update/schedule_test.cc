#include "learner/update/schedule.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TrainingSettings Settings(double warmup) {
  TrainingSettings training;
  training.set_learning_rate(2e-5);
  training.set_min_learning_rate(2e-7);
  training.set_warmup_ratio(warmup);
  return training;
}

TEST(ScheduleTest, WarmsUpLinearly) {
  TrainingSettings training = Settings(0.1);
  EXPECT_DOUBLE_EQ(LearningRate(training, 0, 100), 2e-6);
  EXPECT_DOUBLE_EQ(LearningRate(training, 4, 100), 1e-5);
  EXPECT_DOUBLE_EQ(LearningRate(training, 9, 100), 2e-5);
  // Of 10 steps a quarter is two and a half: three.
  EXPECT_DOUBLE_EQ(LearningRate(Settings(0.25), 0, 10), 2e-5 / 3);
}

TEST(ScheduleTest, DecaysAsAHalfCosineToTheMinimum) {
  TrainingSettings training = Settings(0);
  EXPECT_DOUBLE_EQ(LearningRate(training, 0, 101), 2e-5);
  EXPECT_NEAR(LearningRate(training, 25, 101), 2e-7 + 1.98e-5 * 0.853553390593, 1e-15);
  EXPECT_NEAR(LearningRate(training, 50, 101), (2e-5 + 2e-7) / 2, 1e-15);
  EXPECT_NEAR(LearningRate(training, 100, 101), 2e-7, 1e-15);
  EXPECT_NEAR(LearningRate(training, 150, 101), 2e-7, 1e-15) << "it does not rise again";
}

TEST(ScheduleTest, NeverIsZeroInAShortRun) {
  for (int total = 1; total < 5; ++total) {
    for (int step = 0; step < total; ++step) {
      EXPECT_GE(LearningRate(Settings(0.03), step, total), 2e-7 * (1 - 1e-12));
    }
    EXPECT_DOUBLE_EQ(LearningRate(Settings(0.03), 0, total), 2e-5);
  }
  EXPECT_DOUBLE_EQ(LearningRate(Settings(0.03), 1, 2), 2e-5);
  EXPECT_DOUBLE_EQ(LearningRate(Settings(0), 0, 1), 2e-5);
}

}  // namespace
}  // namespace reckon
