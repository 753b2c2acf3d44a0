#include "cli/report/rollout_sample.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

PlanStatus Plan(uint64_t groups, uint64_t samples_of_group, uint64_t tokens_of_sample = 10) {
  PlanStatus plan;
  plan.set_complete_groups(groups);
  plan.set_samples_accepted(groups * samples_of_group);
  plan.set_sampled_tokens(groups * samples_of_group * tokens_of_sample);
  plan.set_batches_cut(groups > 0 ? 1 : 0);
  return plan;
}

TEST(ShareGroupsTest, TakesEverythingThatFits) {
  EXPECT_THAT(ShareGroups({Plan(10, 4), Plan(20, 1)}, {.rollouts = 100, .tokens = 1e6}),
              ElementsAre(10, 20));
}

TEST(ShareGroupsTest, WhatASmallPlanLeavesGoesToTheOthers) {
  // 100 samples of a small plan; the other two share 900, in groups of 8 and of 1.
  EXPECT_THAT(
      ShareGroups({Plan(10000, 8), Plan(100, 1), Plan(5000, 1)}, {.rollouts = 1000, .tokens = 1e9}),
      ElementsAre(56, 100, 450));
}

TEST(ShareGroupsTest, LongSamplesAreBoundedByTheirTokens) {
  EXPECT_THAT(ShareGroups({Plan(1000, 4, 8000)}, {.rollouts = 2000, .tokens = 640000}),
              ElementsAre(20));
}

TEST(ShareGroupsTest, EveryPlanWithABatchIsSeen) {
  EXPECT_THAT(ShareGroups({Plan(5, 64), Plan(0, 0), Plan(9, 64)}, {.rollouts = 8, .tokens = 100}),
              ElementsAre(1, 0, 1));
}

}  // namespace
}  // namespace reckon
