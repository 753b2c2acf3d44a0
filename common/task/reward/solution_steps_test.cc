#include "common/task/reward/solution_steps.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kReference[] =
    "Half of 48 is 48/2=<<48/2=24>>24.\nTogether 48+24=<<48+24=72>>72.\nThen 72-2=<<72-2=70>>70.\n"
    "#### 70";

std::vector<double> Match(const std::string& completion) {
  return MatchSteps(SplitSteps(completion), SplitSteps(kReference));
}

TEST(SolutionStepsTest, AreLinesWithWhatTheyWorkOut) {
  const std::vector<SolutionStep> steps =
      SplitSteps(" It is 2*3=<<2*3=6>>6 on day 9.\n\n  So 1,200\nno\n#### 6");
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].end, 32u);
  EXPECT_EQ(steps[0].result, "6");
  EXPECT_EQ(steps[1].result, "1200");
  EXPECT_EQ(steps[2].result, std::nullopt);
  EXPECT_EQ(steps[2].end, 47u);
  EXPECT_THAT(SplitSteps(""), IsEmpty());
  EXPECT_THAT(SplitSteps("\n \n#### 5\n"), IsEmpty());
}

TEST(SolutionStepsTest, TheLastStepOfACutTextHasNoResult) {
  const std::vector<SolutionStep> steps = SplitSteps("It is 24\nand <<24+48=72>>7", true);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].result, "24");
  EXPECT_EQ(steps[1].result, std::nullopt);
  EXPECT_EQ(SplitSteps("It is 24\n", true)[0].result, "24");
  EXPECT_EQ(SplitSteps("It is 1/2")[0].result, "0.5");
}

TEST(SolutionStepsTest, APerfectSolutionSumsToOne) {
  const double third = 1.0 / 3;
  EXPECT_THAT(Match(kReference), ElementsAre(third, third, third));
  EXPECT_THAT(Match("24\n72\n70"), ElementsAre(third, third, third));
}

TEST(SolutionStepsTest, OrderIsRespectedAndNoReferenceStepCountsTwice) {
  const double third = 1.0 / 3;
  EXPECT_THAT(Match("72\n24\n70"), ElementsAre(third, 0, third));
  EXPECT_THAT(Match("24\n24\n24"), ElementsAre(third, 0, 0));
  EXPECT_THAT(Match("1\n2\n70\n#### 70"), ElementsAre(0, 0, third));
  EXPECT_THAT(Match("no number"), ElementsAre(0));
}

TEST(SolutionStepsTest, AStepsRewardDoesNotDependOnWhatFollows) {
  const std::vector<double> whole = Match("72\n24\n70\n24");
  EXPECT_THAT(Match("72\n24"), ElementsAre(whole[0], whole[1]));
}

TEST(SolutionStepsTest, AMillionBytesTakeLinearTime) {
  const std::string marks(500000, '<');
  EXPECT_EQ(SplitSteps(marks + marks).size(), 1u);
  EXPECT_EQ(SplitSteps(std::string(1000000, '\n')).size(), 0u);
}

}  // namespace
}  // namespace reckon
