#include "common/task/reward/own_rewards.h"

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "proto/config.pb.h"

namespace reckon {
namespace {

TEST(OwnRewardsTest, FindsThoseOfStagesAndEvaluationsWhereverTheyAre) {
  RunConfig config;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    eval { reward { kind: PROCESS command: "a" } }
    stage { ei { reward { kind: EXACT_MATCH_STRICT } reward { kind: PROCESS command: "b" } } }
    stage { orm { reward { kind: SERVICE address: "h:1" } } }
    stage { ppo { reward { kind: PROCESS command: "a" weight: 2 } } })",
                                                            &config));
  EXPECT_EQ(OwnRewards(config).size(), 4u);
  EXPECT_THAT(RewardCommands(config), testing::ElementsAre("a", "b"));
  EXPECT_TRUE(OwnRewards(RunConfig()).empty());
}

}  // namespace
}  // namespace reckon
