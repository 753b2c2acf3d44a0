#include "learner/experience/experience.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

Rollout MakeRollout(uint64_t group, double reward, Verdict verdict, uint64_t version) {
  Rollout rollout;
  rollout.mutable_key()->set_group(group);
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  for (uint32_t token : {7, 8}) prompt->add_tokens(token);
  TokenSpan* forced = rollout.add_spans();
  forced->set_kind(TokenSpan::FORCED);
  forced->add_tokens(9);
  for (uint64_t v : {version + 1, version}) {
    TokenSpan* sampled = rollout.add_spans();
    sampled->set_kind(TokenSpan::SAMPLED);
    sampled->add_tokens(10);
    sampled->add_logprobs(-0.5f);
    sampled->set_weight_version(v);
  }
  rollout.set_reward(reward);
  rollout.add_rewards()->set_verdict(verdict);
  return rollout;
}

TEST(ExperienceTest, OnlySampledTokensAreLearned) {
  const Experience e = MakeExperience(MakeRollout(3, 1, CORRECT, 5), {});
  EXPECT_THAT(e.sequence.tokens, ElementsAre(7, 8, 9, 10, 10));
  EXPECT_THAT(e.sequence.loss, ElementsAre(false, false, false, true, true));
  EXPECT_THAT(e.behaviour_logprobs, ElementsAre(-0.5f, -0.5f));
  EXPECT_EQ(e.version, 5u);
  EXPECT_EQ(e.group, 3u);
}

TEST(ExperienceTest, TheOldestVersionCountsWhereverItIs) {
  Rollout rollout = MakeRollout(3, 1, CORRECT, 5);
  rollout.mutable_spans(2)->set_weight_version(4);
  EXPECT_EQ(MakeExperience(rollout, {}).version, 4u);
}

TEST(ExperienceTest, AFirstTokenThatWasSampledIsNotLearned) {
  Rollout rollout;
  TokenSpan* sampled = rollout.add_spans();
  sampled->set_kind(TokenSpan::SAMPLED);
  for (uint32_t token : {7, 8}) {
    sampled->add_tokens(token);
    sampled->add_logprobs(-0.1f * static_cast<float>(token));
  }
  const Experience e = MakeExperience(rollout, {});
  EXPECT_THAT(e.sequence.loss, ElementsAre(false, true));
  EXPECT_THAT(e.behaviour_logprobs, ElementsAre(-0.1f * 8));
}

TEST(ExperienceTest, AnEndInThePlaceOfAStopStringIsLearnedAndHasNoRecordedProbability) {
  Rollout rollout = MakeRollout(0, 1, CORRECT, 5);
  TokenSpan* end = rollout.add_spans();
  end->set_kind(TokenSpan::SAMPLED);
  end->add_tokens(2);
  end->set_weight_version(5);
  const Experience e = MakeExperience(rollout, {});
  EXPECT_TRUE(e.end_in_place);
  EXPECT_THAT(e.sequence.tokens, ElementsAre(7, 8, 9, 10, 10, 2));
  EXPECT_THAT(e.sequence.loss, ElementsAre(false, false, false, true, true, true));
  EXPECT_THAT(e.behaviour_logprobs, ElementsAre(-0.5f, -0.5f, 0));
  EXPECT_FALSE(MakeExperience(MakeRollout(0, 1, CORRECT, 5), {}).end_in_place);
}

TEST(ExperienceTest, StepsEarnTheirRewardWhereTheyEndAndForcedOnesNothing) {
  Rollout rollout = MakeRollout(0, 1.5, CORRECT, 5);
  RewardValue* dense = rollout.add_rewards();
  for (uint32_t token : {0, 1, 2, 2, 9}) {  // forced, the two sampled ones, none
    StepValue* step = dense->add_steps();
    step->set_token(token);
    step->set_value(0.25);
  }
  google::protobuf::RepeatedPtrField<RewardSpec> rewards;
  rewards.Add();
  rewards.Add()->set_weight(2);
  const Experience e = MakeExperience(rollout, rewards);
  EXPECT_EQ(e.verdict, CORRECT) << "the first reward's";
  EXPECT_THAT(e.step_rewards, ElementsAre(0.5f, 1.0f));
  EXPECT_DOUBLE_EQ(e.reward, 1.0);  // 2 * 0.25 less than what the whole solution earns
}

TEST(ExperienceTest, AGroupsScoreIsTheMeanErrorOfItsValuesOrSizeOfItsAdvantages) {
  std::vector<Experience> step(3);
  step[0].group = step[1].group = 4;
  step[2].group = 6;
  step[0].behaviour_logprobs = {0, 0, 0};
  step[0].advantages = {9, 9, 9};
  step[0].old_values = {0, 1, 2};
  step[0].returns = {1, 1, 0};
  step[1].behaviour_logprobs = {0};
  step[1].advantages = {9};
  step[1].old_values = {0};
  step[1].returns = {-5};
  step[2].behaviour_logprobs = {0, 0};  // no critic
  step[2].advantages = {-1, 2};
  EXPECT_THAT(GroupScores(step), ElementsAre(testing::Pair(4, 2.0), testing::Pair(6, 1.5)));
}

TEST(ExperienceTest, MetricsTellSpreadStalenessVerdictsAndMismatch) {
  std::vector<Experience> step;
  step.push_back(MakeExperience(MakeRollout(0, 1, CORRECT, 5), {}));
  step.push_back(MakeExperience(MakeRollout(0, 0, UNPARSABLE, 6), {}));
  step.push_back(MakeExperience(MakeRollout(1, 0, WRONG, 6), {}));
  step.push_back(MakeExperience(MakeRollout(1, 0, WRONG, 7), {}));
  for (Experience& e : step) e.old_logprobs = e.behaviour_logprobs;
  auto metrics = ExperienceMetrics(step, 7);
  EXPECT_DOUBLE_EQ(metrics["reward"], 0.25);
  EXPECT_DOUBLE_EQ(metrics["frac_reward_zero_std"], 0.5);
  EXPECT_DOUBLE_EQ(metrics["staleness/max"], 2);
  EXPECT_DOUBLE_EQ(metrics["staleness/mean"], 1);
  EXPECT_DOUBLE_EQ(metrics["verdict/wrong"], 0.5);
  EXPECT_DOUBLE_EQ(metrics["verdict/unparsable"], 0.25);
  EXPECT_DOUBLE_EQ(metrics["mismatch_kl"], 0);
  EXPECT_DOUBLE_EQ(metrics["actor/entropy"], 0.5);
  step[0].old_logprobs[0] = -1;  // of the actor -0.5; k3, of eight tokens
  EXPECT_NEAR(ExperienceMetrics(step, 7)["mismatch_kl"], (std::exp(-0.5) - 1 + 0.5) / 8, 1e-9);
}

// Two samples a group.
std::vector<Experience> Step(const std::vector<std::pair<double, double>>& rewards) {
  std::vector<Experience> step;
  for (size_t group = 0; group < rewards.size(); ++group) {
    for (double reward : {rewards[group].first, rewards[group].second}) {
      Experience& e = step.emplace_back();
      e.group = group;
      e.reward = reward;
      e.behaviour_logprobs.resize(10);
    }
  }
  return step;
}

std::vector<uint64_t> Groups(const std::vector<Experience*>& samples) {
  std::vector<uint64_t> groups;
  for (const Experience* e : samples) groups.push_back(e->group);
  return groups;
}

TEST(SamplesInLossTest, GroupsOfOneRewardAreLeftOutWhenAskedTo) {
  std::vector<Experience> step = Step({{1, 1}, {0, 1}, {0, 0}, {1, 0}});
  EXPECT_EQ(MarkFlatGroups(&step), 2u);
  PpoSettings settings;
  settings.set_prompts(4);
  EXPECT_THAT(Groups(SamplesInLoss(settings, &step)), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
  settings.mutable_filter()->set_groups(true);
  EXPECT_THAT(Groups(SamplesInLoss(settings, &step)), ElementsAre(1, 1, 3, 3));
}

TEST(SamplesInLossTest, AGroupWhoseLastRewardIsTheFirstAgainIsNotFlat) {
  std::vector<Experience> step = Step({{0, 1}});
  step.push_back(step[0]);
  EXPECT_EQ(MarkFlatGroups(&step), 1u);
  for (const Experience& sample : step) EXPECT_FALSE(sample.flat_group);
}

TEST(SamplesInLossTest, OfMoreGroupsThanAStepHasTheFirstAreTaken) {
  std::vector<Experience> step = Step({{0, 1}, {1, 1}, {1, 0}, {0, 1}});
  MarkFlatGroups(&step);
  PpoSettings settings;
  settings.set_prompts(2);
  settings.mutable_filter()->set_groups(true);
  EXPECT_THAT(Groups(SamplesInLoss(settings, &step)), ElementsAre(0, 0, 2, 2));
}

TEST(SamplesInLossTest, CutAndEmptySamplesTeachNothing) {
  std::vector<Experience> step = Step({{0, 1}, {1, 0}});
  step[0].truncated = true;
  step[3].behaviour_logprobs.clear();
  PpoSettings settings;
  EXPECT_THAT(Groups(SamplesInLoss(settings, &step)), ElementsAre(0, 0, 1));
  settings.mutable_filter()->set_mask_truncated(true);
  EXPECT_THAT(Groups(SamplesInLoss(settings, &step)), ElementsAre(0, 1));
}

// DAPO, eq. 13: with L_max 20 and L_cache 8 a sample of 16 tokens costs (12 - 16) / 8.
TEST(SamplesInLossTest, TheTokensBeforeTheLimitCostInAStraightLine) {
  PpoSettings settings;
  settings.mutable_sampling()->set_max_new_tokens(20);
  settings.mutable_overlong()->set_penalty_factor(2);
  auto charged = [&](size_t length) {
    Experience e;
    e.reward = 1;
    e.behaviour_logprobs.resize(length);
    ApplyOverlongPenalty(settings, &e);
    return e.reward;
  };
  EXPECT_EQ(charged(20), 1);
  settings.mutable_overlong()->set_buffer_len(8);
  EXPECT_EQ(charged(4), 1);
  EXPECT_EQ(charged(12), 1);
  EXPECT_EQ(charged(16), 0);
  EXPECT_EQ(charged(20), -1);
}

}  // namespace
}  // namespace reckon
