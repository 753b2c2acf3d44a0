#include "actor/troubles.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(TroublesTest, ARefusedVersionIsReportedUntilItIsLoaded) {
  Troubles troubles;
  EXPECT_EQ(troubles.pause(), absl::ZeroDuration());
  troubles.Refuse(7, absl::InvalidArgumentError("missing model.norm.weight"));
  troubles.EndPause(8);
  EXPECT_EQ(troubles.pause(), absl::ZeroDuration()) << "there is work for version 8";
  ActorReport report = troubles.Report("a reward", std::nullopt);
  EXPECT_EQ(report.refused_version(), 7u);
  EXPECT_EQ(report.refused_because(), "missing model.norm.weight");
  EXPECT_EQ(report.waiting_for(), "a reward");
  troubles.EndPause(7);
  EXPECT_EQ(troubles.Report("", std::nullopt).refused_because(), "");
}

TEST(TroublesTest, ASourceThatDoesNotAnswerPausesForLessThanARefusal) {
  Troubles troubles;
  troubles.Pause(/*may_heal=*/true);
  const absl::Duration pause = troubles.pause();
  EXPECT_GT(pause, absl::ZeroDuration());
  troubles.Pause(/*may_heal=*/false);
  EXPECT_GT(troubles.pause(), 2 * pause);
}

TEST(TroublesTest, FailingRewardsAreReportedAndNotForgivenAtOnce) {
  Troubles troubles;
  troubles.SetFailing("reward: 9 of 10 failed");
  EXPECT_FALSE(troubles.Forgive());
  EXPECT_EQ(troubles.Report("", std::nullopt).failing_because(), "reward: 9 of 10 failed");
}

}  // namespace
}  // namespace reckon
