#include "common/task/metrics/group_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Rollout Sample(Verdict verdict, const std::string& extracted = "") {
  Rollout sample;
  RewardValue* reward = sample.add_rewards();
  reward->set_verdict(verdict);
  reward->set_extracted(extracted);
  return sample;
}
Rollout Right(const std::string& extracted = "18") { return Sample(CORRECT, extracted); }
Rollout Wrong(const std::string& extracted) { return Sample(WRONG, extracted); }

double Majority(const std::vector<Rollout>& samples) {
  GroupMetrics metrics;
  metrics.AddGroup(samples);
  return metrics.MajAtK(0, 0).value();
}

TEST(GroupMetricsTest, TheMostFrequentAnswerWins) {
  EXPECT_EQ(Majority({Right(), Wrong("1"), Right()}), 1);
  EXPECT_EQ(Majority({Right(), Wrong("1"), Wrong("1")}), 0);
  EXPECT_EQ(Majority({Wrong("1"), Wrong("2"), Wrong("3"), Right(), Right()}), 1);
}

TEST(GroupMetricsTest, SpellingsOfOneNumberVoteTogether) {
  EXPECT_EQ(Majority({Wrong("1"), Wrong("1"), Right("18"), Right("18.0"), Right("$018.")}), 1);
  EXPECT_EQ(Majority({Right("18"), Wrong("1,000"), Wrong("1000")}), 0);
}

TEST(GroupMetricsTest, ATieGoesToTheFirstToReachTheCount) {
  EXPECT_EQ(Majority({Right(), Wrong("1")}), 1);
  EXPECT_EQ(Majority({Wrong("1"), Right()}), 0);
  // "1" is seen first, "18" has two votes first.
  EXPECT_EQ(Majority({Wrong("1"), Right(), Right(), Wrong("1")}), 1);
  EXPECT_EQ(Majority({Right(), Wrong("1"), Wrong("1"), Right()}), 0);
}

TEST(GroupMetricsTest, SamplesWithoutAnAnswerDoNotVote) {
  EXPECT_EQ(Majority({Sample(UNPARSABLE), Sample(UNPARSABLE, ".."), Sample(TRUNCATED), Right()}),
            1);
  EXPECT_EQ(Majority({Sample(UNPARSABLE), Sample(TRUNCATED)}), 0);
  EXPECT_EQ(Majority({Sample(REFERENCE_UNPARSABLE, "18")}), 0);
}

TEST(GroupMetricsTest, AnOwnRewardThatNamesNoAnswerHasNoVotes) {
  GroupMetrics own(RewardSpec::PROCESS), exact(RewardSpec::EXACT_MATCH_STRICT);
  for (GroupMetrics* metrics : {&own, &exact}) {
    metrics->AddGroup({Right(""), Sample(WRONG)});
    metrics->AddOverlong(1, 2);
  }
  EXPECT_FALSE(own.HasVotes());
  EXPECT_TRUE(exact.HasVotes());
  own.AddGroup({Right("north")});
  EXPECT_TRUE(own.HasVotes());
}

TEST(GroupMetricsTest, CountsGroupsAndVerdicts) {
  GroupMetrics metrics;
  metrics.AddGroup({Right(), Wrong("1"), Wrong("1"), Sample(UNPARSABLE)});
  metrics.AddGroup({Sample(TRUNCATED), Sample(REFERENCE_UNPARSABLE)});
  metrics.AddGroup({Right(), Right()});
  metrics.AddGroup({});  // a group without samples says nothing
  EXPECT_EQ(metrics.groups(), 3u);
  EXPECT_DOUBLE_EQ(metrics.MajAtK(0, 0).value(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.PassAtK(0, 0).value(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.MeanAtOne(0, 0).value(), (0.25 + 0 + 1) / 3);
  EXPECT_THAT(metrics.VerdictCounts(),
              ElementsAre(Pair("correct", 3), Pair("reference_unparsable", 1), Pair("truncated", 1),
                          Pair("unparsable", 1), Pair("wrong", 2)));
}

TEST(GroupMetricsTest, ARewardModelPicksTheBestSampleOrWeighsTheVotes) {
  GroupMetrics metrics;
  const std::vector<Rollout> samples = {Wrong("1"), Wrong("1"), Right(), Sample(UNPARSABLE)};
  metrics.AddGroup(samples, {0.2, 0.3, 0.6, 0.1});
  EXPECT_EQ(metrics.MajAtK(0, 0).value(), 0);
  EXPECT_EQ(metrics.RerankAtK(0, 0).value(), 1);
  EXPECT_EQ(metrics.RerankWeightedAtK(0, 0).value(), 1);
  EXPECT_EQ(metrics.RerankGain(0, 0).value(), 1);
  metrics.AddGroup(samples, {0.4, 0.3, 0.6, 0.1});  // two wrong ones outweigh the best
  EXPECT_EQ(metrics.RerankAtK(0, 0).value(), 1);
  EXPECT_EQ(metrics.RerankWeightedAtK(0, 0).value(), 0.5);
  metrics.AddGroup(samples, {0.1, 0.1, 0.6, 0.9});  // no answer, yet the best: chosen, not right
  EXPECT_DOUBLE_EQ(metrics.RerankAtK(0, 0).value(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.RerankWeightedAtK(0, 0).value(), 2.0 / 3);
}

TEST(GroupMetricsTest, PassAtSmallerKIsWithoutBias) {
  GroupMetrics metrics;
  metrics.AddGroup({Right(), Wrong("1"), Wrong("1"), Wrong("1")});
  EXPECT_DOUBLE_EQ(metrics.PassAt(1), 0.25);
  EXPECT_DOUBLE_EQ(metrics.PassAt(2), 0.5);  // 1 - C(3, 2) / C(4, 2)
  EXPECT_DOUBLE_EQ(metrics.PassAt(4), 1);
  EXPECT_DOUBLE_EQ(metrics.PassAt(5), 0);  // no prompt has as many
  metrics.AddGroup({Right(), Right(), Wrong("1"), Wrong("1")});
  EXPECT_DOUBLE_EQ(metrics.PassAt(2), (0.5 + 5.0 / 6) / 2);
  EXPECT_DOUBLE_EQ(metrics.PassAt(1), metrics.MeanAtOne(0, 0).value());
  EXPECT_DOUBLE_EQ(metrics.PassAt(4), metrics.PassAtK(0, 0).value());
}

TEST(GroupMetricsTest, CorrectSolutionsDifferInTextAndInEquations) {
  auto solution = [](Rollout sample, const char* text) {
    sample.set_completion(text);
    return sample;
  };
  GroupMetrics metrics;
  metrics.AddGroup({solution(Right(), "So <<9+9=18>>18"), solution(Right(), "Then <<9+9=18>>18"),
                    solution(Right(), "Then <<9+9=18>>18"), solution(Right(), "<<2*9=18>>18"),
                    solution(Wrong("1"), "<<1+0=1>>1")});
  metrics.AddGroup({Wrong("2")});
  EXPECT_DOUBLE_EQ(metrics.DistinctCorrectTexts(), 3.0 / 2);
  EXPECT_DOUBLE_EQ(metrics.DistinctCorrectEquations(), 2.0 / 2);
}

TEST(GroupMetricsTest, NothingIsZero) {
  const GroupMetrics metrics;
  EXPECT_EQ(metrics.PassAt(1), 0);
  EXPECT_EQ(metrics.DistinctCorrectTexts(), 0);
  EXPECT_EQ(metrics.MajAtK(100, 0).value(), 0);
  EXPECT_EQ(metrics.PassAtK(100, 0).high(), 0);
  EXPECT_THAT(metrics.VerdictCounts(),
              ElementsAre(Pair("correct", 0), Pair("reference_unparsable", 0), Pair("truncated", 0),
                          Pair("unparsable", 0), Pair("wrong", 0)));
}

TEST(GroupMetricsTest, SamplesWithoutARewardAreCountedApart) {
  GroupMetrics metrics;
  metrics.AddGroup({Rollout(), Right()});
  EXPECT_EQ(metrics.VerdictCounts()["unscored"], 1u);
  EXPECT_EQ(metrics.PassAtK(0, 0).value(), 1);
}

TEST(GroupMetricsTest, TheIntervalIsThatOfABinomial) {
  GroupMetrics metrics;
  for (int i = 0; i < 400; ++i) metrics.AddGroup({i % 4 == 0 ? Right() : Wrong("1")});
  const Estimate estimate = metrics.MajAtK(2000, 1);
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_DOUBLE_EQ(estimate.value(), 0.25);
  EXPECT_NEAR(estimate.low(), 0.25 - half, 0.006);
  EXPECT_NEAR(estimate.high(), 0.25 + half, 0.006);
}

TEST(GroupMetricsTest, TheIntervalIsAFunctionOfTheSeed) {
  GroupMetrics metrics;
  for (int i = 0; i < 50; ++i) metrics.AddGroup({i % 3 == 0 ? Right() : Wrong("1"), Right()});
  const Estimate first = metrics.MeanAtOne(500, 1), again = metrics.MeanAtOne(500, 1);
  EXPECT_EQ(first.low(), again.low());
  EXPECT_EQ(first.high(), again.high());
  EXPECT_LT(first.low(), first.value());
  EXPECT_GT(first.high(), first.value());
  bool differs = false;  // means of 50 groups are few, so two seeds may well agree
  for (uint64_t seed = 2; seed < 12; ++seed) {
    const Estimate other = metrics.MeanAtOne(500, seed);
    differs = differs || other.low() != first.low() || other.high() != first.high();
  }
  EXPECT_TRUE(differs);
}

TEST(GroupMetricsTest, EqualGroupsLeaveNoDoubt) {
  GroupMetrics metrics;
  for (int i = 0; i < 5; ++i) metrics.AddGroup({Right()});
  EXPECT_EQ(metrics.PassAtK(100, 0).low(), 1);
  EXPECT_EQ(metrics.PassAtK(100, 0).high(), 1);
}

TEST(GroupMetricsTest, OverlongProblemsAreWrongInEveryFigure) {
  const auto right = [] {
    Rollout rollout;
    RewardValue* reward = rollout.add_rewards();
    reward->set_verdict(CORRECT);
    reward->set_extracted("7");
    return rollout;
  };
  GroupMetrics metrics;
  metrics.AddGroup({right(), right()}, {0.5, 0.75});
  metrics.AddOverlong(3, 2);
  EXPECT_EQ(metrics.groups(), 4u);
  for (const Estimate& estimate :
       {metrics.MajAtK(0, 0), metrics.PassAtK(0, 0), metrics.RerankAtK(0, 0),
        metrics.RerankWeightedAtK(0, 0), metrics.MeanAtOne(0, 0)}) {
    EXPECT_DOUBLE_EQ(estimate.value(), 0.25);
  }
  EXPECT_DOUBLE_EQ(metrics.PassAt(1), 0.25);
  EXPECT_DOUBLE_EQ(metrics.DistinctCorrectTexts(), 0.25);
  EXPECT_EQ(metrics.VerdictCounts().at("overlong"), 6u);
  EXPECT_EQ(metrics.VerdictCounts().at("correct"), 2u);
}

}  // namespace
}  // namespace reckon
