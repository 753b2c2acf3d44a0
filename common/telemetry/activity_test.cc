#include "common/telemetry/activity.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;

class ActivityTest : public testing::Test {
 protected:
  enum { kLoad, kWork, kWaitWork, kWaitPeers };
  std::string Page() { return registry_.Text(); }

  FakeClock clock_;
  Registry registry_;
  Activity activity_{"actor", {"load", "work", "wait_work", "wait_peers"}, &registry_, &clock_};
};

TEST_F(ActivityTest, CountsTheTimeOfEachStateAlsoOfThePresentOne) {
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(activity_.Enter(kWork), kLoad);
  clock_.Advance(absl::Seconds(3));
  EXPECT_THAT(Page(), HasSubstr("reckon_actor_seconds_total{state=\"load\"} 2\n"));
  EXPECT_THAT(Page(), HasSubstr("reckon_actor_seconds_total{state=\"work\"} 3\n"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Page(), HasSubstr("reckon_actor_seconds_total{state=\"work\"} 4\n"));
  EXPECT_THAT(Page(), HasSubstr("reckon_actor_seconds_total{state=\"wait_work\"} 0\n"));
}

TEST_F(ActivityTest, ALoopThatDoesNotMoveForAMinuteIsNotAlive) {
  activity_.Enter(kWork);
  clock_.Advance(absl::Seconds(59));
  EXPECT_TRUE(activity_.alive());
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(activity_.alive());
  activity_.Tick();
  EXPECT_TRUE(activity_.alive());
  clock_.Advance(absl::Seconds(61));
  activity_.Enter(kWork);
  EXPECT_TRUE(activity_.alive());
}

TEST_F(ActivityTest, ALoopThatWaitsForOthersIsAliveForEver) {
  ActivityScope wait(&activity_, kWaitWork);
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(activity_.alive());
}

TEST_F(ActivityTest, ALoopWhosePeerDoesNotAnswerIsAliveAndHasAMinuteAfterwards) {
  activity_.Enter(kWork);
  activity_.SetOutage(true);
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(activity_.alive());
  activity_.SetOutage(false);
  clock_.Advance(absl::Seconds(59));
  EXPECT_TRUE(activity_.alive());
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(activity_.alive());
}

TEST_F(ActivityTest, AScopeReturnsToTheStateBefore) {
  activity_.Enter(kWork);
  {
    ActivityScope wait(&activity_, kWaitWork);
    clock_.Advance(absl::Seconds(2));
    {
      ActivityScope peers(&activity_, kWaitPeers);  // a wait within a wait
      clock_.Advance(absl::Seconds(5));
    }
    {
      ActivityScope work(&activity_, kLoad);
      clock_.Advance(absl::Seconds(7));
    }
    clock_.Advance(absl::Seconds(1));
  }
  clock_.Advance(absl::Seconds(4));
  EXPECT_THAT(Page(), HasSubstr("state=\"work\"} 4\n"));
  EXPECT_THAT(Page(), HasSubstr("state=\"wait_work\"} 8\n"));
  EXPECT_THAT(Page(), HasSubstr("state=\"wait_peers\"} 0\n"));
  EXPECT_THAT(Page(), HasSubstr("state=\"load\"} 7\n"));
}

}  // namespace
}  // namespace reckon
