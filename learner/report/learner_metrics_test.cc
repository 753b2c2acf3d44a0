#include "learner/report/learner_metrics.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(LearnerMetricsTest, ShowsTheLastValueOfEveryScalarAndWhenItWasWritten) {
  Registry registry;
  LearnerMetrics metrics(&registry);
  EXPECT_THAT(registry.Text(), HasSubstr("\nreckon_last_step_timestamp_seconds 0\n"));
  metrics.ShowLine(6, {{"reward", 0.25}, {"val/maj@1", 0.5}});
  metrics.ShowLine(7, {{"reward", 0.75}, {"timing_s/step", 3}});
  const std::string page = registry.Text();
  EXPECT_THAT(page, HasSubstr("\nreckon_reward 0.75\n"));
  EXPECT_THAT(page, HasSubstr("\nreckon_val_maj_1 0.5\n"));
  EXPECT_THAT(page, HasSubstr("\nreckon_timing_step_seconds 3\n"));
  EXPECT_THAT(page, HasSubstr("\nreckon_step 8\n"));
  EXPECT_THAT(page, Not(HasSubstr("\nreckon_last_step_timestamp_seconds 0\n")));
}

TEST(LearnerMetricsTest, ATimedScopeIsOneObservation) {
  Registry registry;
  Histogram& seconds = registry.AddHistogram("reckon_checkpoint_seconds", "Checkpoints", {60});
  {
    const TimedScope scope(LearnerMetrics::kCheckpoint, &seconds);
  }
  EXPECT_THAT(registry.Text(), HasSubstr("reckon_checkpoint_seconds_bucket{le=\"60\"} 1\n"));
}

}  // namespace
}  // namespace reckon
