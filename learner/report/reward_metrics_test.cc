#include "learner/report/reward_metrics.h"

#include <tuple>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(RewardMetricsTest, EachRewardHasItsMeanAndFailuresAreCountedByName) {
  RewardMetrics metrics;
  for (const double value : {1.0, 0.5}) {
    Rollout rollout;
    rollout.set_reward(100);  // weighted
    RewardValue* mine = rollout.add_rewards();
    mine->set_name("mine");
    mine->set_value(value);
    mine->add_failures("timeout");
    if (value == 1) mine->add_failures("crash");
    RewardValue* other = rollout.add_rewards();
    other->set_name("other");
    other->set_value(-value);
    metrics.Add(rollout, "");
  }
  EXPECT_THAT(metrics.Values(),
              ElementsAre(Pair("reward/mine", 0.75), Pair("reward/other", -0.75),
                          Pair("reward_failures/crash", 1), Pair("reward_failures/timeout", 2)));
  EXPECT_TRUE(RewardMetrics().Values().empty());
}

TEST(RewardMetricsTest, SetsOfAMixtureHaveFiguresOfTheirOwn) {
  RewardMetrics metrics;
  for (const auto& [set, verdict, reward] :
       {std::tuple("a", CORRECT, 1.0), std::tuple("a", WRONG, 0.5),
        std::tuple("b", VERDICT_UNSPECIFIED, 3.0)}) {
    Rollout rollout;
    rollout.set_reward(reward);
    rollout.add_rewards()->set_verdict(verdict);
    metrics.Add(rollout, set);
  }
  std::map<std::string, double> values = metrics.Values();
  values.erase("reward/");
  EXPECT_THAT(values, ElementsAre(Pair("set/a/num_samples", 2), Pair("set/a/reward", 0.75),
                                  Pair("set/a/right_ratio", 0.5), Pair("set/b/num_samples", 1),
                                  Pair("set/b/reward", 3)));
}

}  // namespace
}  // namespace reckon
