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

TEST(OwnRewardsTest, AnswersAreNotNeededWhereNothingOfOursReadsThem) {
  const auto use = [](const std::string& text) {
    RunConfig config;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config));
    return AnswerUseOf(config);
  };
  const std::string eval = "eval { reward { kind: PROCESS command: \"a\" } } ";
  const std::string ppo = "stage { ppo { reward { kind: SERVICE address: \"h:1\" } } } ";
  EXPECT_EQ(use("stage { ppo { reward {} } }"), AnswerUse::kCompared);
  EXPECT_EQ(use(eval + "stage { init {} } " + ppo), AnswerUse::kNone);
  EXPECT_EQ(use(eval + ppo + "stage { ei { include_sft_data: false reward { kind: ORM } } }"),
            AnswerUse::kNone);
  EXPECT_EQ(use(ppo), AnswerUse::kOwnRewards) << "evaluations compare";
  EXPECT_EQ(use(eval + "stage { ppo { reward {} } }"), AnswerUse::kOwnRewards);
  EXPECT_EQ(use(eval + "stage { sft {} } " + ppo), AnswerUse::kOwnRewards);
  EXPECT_EQ(use(eval + "stage { ei {} }"), AnswerUse::kOwnRewards);
}

}  // namespace
}  // namespace reckon
