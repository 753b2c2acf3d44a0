#include "actor/reward/reward.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

RewardSpec Spec(const std::string& name, RewardSpec::Kind kind, double weight) {
  RewardSpec spec;
  spec.set_name(name);
  spec.set_kind(kind);
  spec.set_weight(weight);
  return spec;
}

WorkItem Item() {
  WorkItem item;
  item.mutable_reference()->set_answer("18");
  return item;
}

TEST(RewardTest, SumsTheWeightedList) {
  PlanSpec plan;
  *plan.add_rewards() = Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1);
  *plan.add_rewards() = Spec("flexible", RewardSpec::EXACT_MATCH_FLEXIBLE, 0.25);
  Rollout rollout;
  rollout.set_finish(FINISH_STOP);
  rollout.set_completion("so she has 18");
  ASSERT_TRUE(AddRewards(Verifier(), plan, Item(), &rollout).ok());
  ASSERT_EQ(rollout.rewards_size(), 2);
  EXPECT_EQ(rollout.rewards(0).name(), "strict");
  EXPECT_EQ(rollout.rewards(0).verdict(), UNPARSABLE);
  EXPECT_EQ(rollout.rewards(1).verdict(), CORRECT);
  EXPECT_DOUBLE_EQ(rollout.reward(), 0.25);
}

TEST(RewardTest, CountsACutCompletionAsTruncated) {
  PlanSpec plan;
  *plan.add_rewards() = Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1);
  Rollout rollout;
  rollout.set_finish(FINISH_LENGTH);
  rollout.set_completion("so she");
  ASSERT_TRUE(AddRewards(Verifier(), plan, Item(), &rollout).ok());
  EXPECT_EQ(rollout.rewards(0).verdict(), TRUNCATED);
  EXPECT_EQ(rollout.reward(), 0);
}

TEST(RewardTest, AFailedScoringIsAnErrorAndNeverAZero) {
  Rollout rollout;
  PlanSpec unknown;
  *unknown.add_rewards() = Spec("orm", RewardSpec::KIND_UNSPECIFIED, 1);
  const absl::Status status = AddRewards(Verifier(), unknown, Item(), &rollout);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'orm'"));

  PlanSpec infinite;
  *infinite.add_rewards() =
      Spec("strict", RewardSpec::EXACT_MATCH_STRICT, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(AddRewards(Verifier(), infinite, Item(), &rollout).ok());
}

}  // namespace
}  // namespace reckon
