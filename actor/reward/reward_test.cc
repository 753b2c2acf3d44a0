#include "actor/reward/reward.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/table_tokenizer.h"

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

// Every token is one letter, except token 0, which has no text.
TableTokenizer Letters() {
  std::vector<std::string> texts(256, "x");
  texts[0].clear();
  return TableTokenizer(std::move(texts));
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
  ASSERT_TRUE(ScoreRollout(Verifier(), plan, Item(), Letters(), &rollout).ok());
  ASSERT_EQ(rollout.rewards_size(), 2);
  EXPECT_EQ(rollout.rewards(0).name(), "strict");
  EXPECT_EQ(rollout.rewards(0).verdict(), UNPARSABLE);
  EXPECT_EQ(rollout.rewards(1).verdict(), CORRECT);
  EXPECT_DOUBLE_EQ(rollout.reward(), 0.25);
}

TEST(RewardTest, SolutionStepsThatMatchTheReferenceAreRewardedAtTheTokenThatEndsThem) {
  PlanSpec plan;
  *plan.add_rewards() = Spec("steps", RewardSpec::STEP_MATCH, 0.5);
  WorkItem item = Item();
  item.mutable_reference()->set_solution("2+3=<<2+3=5>>5\n5+4=<<5+4=9>>9\n#### 9");
  Rollout rollout;
  rollout.set_finish(FINISH_STOP);
  rollout.set_completion("5\n\n7\n9");
  TokenSpan* span = rollout.add_spans();
  span->set_kind(TokenSpan::SAMPLED);
  for (char c : rollout.completion()) span->add_tokens(static_cast<uint32_t>(c));
  span->add_tokens(0);  // the end of the sample
  ASSERT_TRUE(ScoreRollout(Verifier(), plan, item, Letters(), &rollout).ok());
  const RewardValue& value = rollout.rewards(0);
  EXPECT_DOUBLE_EQ(value.value(), 1);
  EXPECT_DOUBLE_EQ(rollout.reward(), 0.5);
  ASSERT_EQ(value.steps_size(), 3);
  EXPECT_EQ(value.steps(0).token(), 1u);
  EXPECT_DOUBLE_EQ(value.steps(0).value(), 0.5);
  EXPECT_EQ(value.steps(1).token(), 4u);
  EXPECT_DOUBLE_EQ(value.steps(1).value(), 0);
  EXPECT_EQ(value.steps(2).token(), 5u);
}

TEST(RewardTest, CountsACutCompletionAsTruncated) {
  PlanSpec plan;
  *plan.add_rewards() = Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1);
  Rollout rollout;
  rollout.set_finish(FINISH_LENGTH);
  rollout.set_completion("so she");
  ASSERT_TRUE(ScoreRollout(Verifier(), plan, Item(), Letters(), &rollout).ok());
  EXPECT_EQ(rollout.rewards(0).verdict(), TRUNCATED);
  EXPECT_EQ(rollout.reward(), 0);
}

TEST(RewardTest, WhatTheLimitCutEarnsNothing) {
  PlanSpec plan;
  *plan.add_rewards() = Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1);
  *plan.add_rewards() = Spec("flexible", RewardSpec::EXACT_MATCH_FLEXIBLE, 1);
  *plan.add_rewards() = Spec("steps", RewardSpec::STEP_MATCH, 1);
  WorkItem item = Item();
  item.mutable_reference()->set_solution("It is 18\n#### 18");
  for (const auto& [finish, reward] : {std::pair(FINISH_LENGTH, 0), std::pair(FINISH_STOP, 2)}) {
    for (const char* text : {"#### 18", "It is 18"}) {  // of 180, perhaps
      Rollout rollout;
      rollout.set_finish(finish);
      rollout.set_completion(text);
      ASSERT_TRUE(ScoreRollout(Verifier(), plan, item, Letters(), &rollout).ok());
      EXPECT_EQ(rollout.reward(), reward) << text;
      if (finish == FINISH_LENGTH) {
        EXPECT_EQ(rollout.rewards(0).verdict(), TRUNCATED);
        EXPECT_EQ(rollout.rewards(1).verdict(), TRUNCATED);
      }
    }
  }
}

TEST(RewardTest, AFailedScoringIsAnErrorAndNeverAZero) {
  Rollout rollout;
  PlanSpec unknown;
  *unknown.add_rewards() = Spec("orm", RewardSpec::ORM, 1);
  const absl::Status status = ScoreRollout(Verifier(), unknown, Item(), Letters(), &rollout);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'orm'"));

  PlanSpec infinite;
  *infinite.add_rewards() =
      Spec("strict", RewardSpec::EXACT_MATCH_STRICT, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(ScoreRollout(Verifier(), infinite, Item(), Letters(), &rollout).ok());
}

}  // namespace
}  // namespace reckon
