#include "common/config/answers.h"

#include <string>

#include "common/config/config.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

RunConfig ConfigOf(const std::string& data, const std::string& reward) {
  absl::StatusOr<RunConfig> config =
      ParseConfig("c", "data { train: \"builtin\" " + data + " } stage { init {} } stage { ppo { " +
                           reward + " } } stage { orm {} }");
  EXPECT_TRUE(config.ok()) << config.status();
  ResolveConfig(&*config);
  return *config;
}

TEST(AnswersTest, BoxedAnswersHaveBoxedRewards) {
  const RunConfig boxed = ConfigOf("answers: BOXED", "reward { kind: STEP_MATCH } reward {}");
  EXPECT_TRUE(ValidateConfig(boxed).ok()) << ValidateConfig(boxed);
  EXPECT_EQ(boxed.eval().reward().kind(), RewardSpec::ANSWER_BOXED);
  EXPECT_EQ(boxed.stage(1).ppo().reward(0).kind(), RewardSpec::STEP_MATCH);
  EXPECT_EQ(boxed.stage(1).ppo().reward(1).kind(), RewardSpec::ANSWER_BOXED);
  EXPECT_EQ(boxed.stage(2).orm().reward().kind(), RewardSpec::ANSWER_BOXED);
  const RunConfig numbers = ConfigOf("", "");
  EXPECT_TRUE(ValidateConfig(numbers).ok());
  EXPECT_EQ(numbers.eval().reward().kind(), RewardSpec::EXACT_MATCH_STRICT);
}

TEST(AnswersTest, RewardsOfTheOtherKindAreRefused) {
  EXPECT_THAT(
      std::string(
          ValidateConfig(ConfigOf("answers: BOXED", "reward { kind: EXACT_MATCH_FLEXIBLE }"))
              .message()),
      testing::StartsWith("stage[1].ppo.reward[0].kind: EXACT_MATCH_FLEXIBLE compares numbers"));
  EXPECT_THAT(std::string(ValidateConfig(ConfigOf("", "reward { kind: ANSWER_BOXED }")).message()),
              testing::HasSubstr("set data.answers: BOXED"));
}

}  // namespace
}  // namespace reckon
