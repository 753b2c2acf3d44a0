#include "learner/algorithm/learned_samples.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

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

std::vector<uint64_t> Groups(const std::vector<const Experience*>& samples) {
  std::vector<uint64_t> groups;
  for (const Experience* e : samples) groups.push_back(e->group);
  return groups;
}

TEST(LearnedSamplesTest, GroupsOfOneRewardAreLeftOutWhenAskedTo) {
  std::vector<Experience> step = Step({{1, 1}, {0, 1}, {0, 0}, {1, 0}});
  EXPECT_EQ(MarkFlatGroups(&step), 2u);
  PpoSettings settings;
  settings.set_prompts(4);
  EXPECT_THAT(Groups(LearnedSamples(settings, step)), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
  settings.set_filter_groups(true);
  EXPECT_THAT(Groups(LearnedSamples(settings, step)), ElementsAre(1, 1, 3, 3));
}

TEST(LearnedSamplesTest, OfMoreGroupsThanAStepHasTheFirstAreTaken) {
  std::vector<Experience> step = Step({{0, 1}, {1, 1}, {1, 0}, {0, 1}});
  MarkFlatGroups(&step);
  PpoSettings settings;
  settings.set_prompts(2);
  settings.set_filter_groups(true);
  EXPECT_THAT(Groups(LearnedSamples(settings, step)), ElementsAre(0, 0, 2, 2));
}

TEST(LearnedSamplesTest, CutAndEmptySamplesTeachNothing) {
  std::vector<Experience> step = Step({{0, 1}, {1, 0}});
  step[0].truncated = true;
  step[3].behaviour_logprobs.clear();
  PpoSettings settings;
  EXPECT_THAT(Groups(LearnedSamples(settings, step)), ElementsAre(0, 0, 1));
  settings.set_mask_truncated(true);
  EXPECT_THAT(Groups(LearnedSamples(settings, step)), ElementsAre(0, 1));
}

// DAPO, eq. 13: with L_max 20 and L_cache 8 a sample of 16 tokens costs (12 - 16) / 8.
TEST(LearnedSamplesTest, TheTokensInFrontOfTheLimitCostInAStraightLine) {
  PpoSettings settings;
  settings.mutable_sampling()->set_max_new_tokens(20);
  settings.set_overlong_penalty_factor(2);
  auto charged = [&](size_t length) {
    Experience e;
    e.reward = 1;
    e.behaviour_logprobs.resize(length);
    ChargeLength(settings, &e);
    return e.reward;
  };
  EXPECT_EQ(charged(20), 1);
  settings.set_overlong_buffer_len(8);
  EXPECT_EQ(charged(4), 1);
  EXPECT_EQ(charged(12), 1);
  EXPECT_EQ(charged(16), 0);
  EXPECT_EQ(charged(20), -1);
}

}  // namespace
}  // namespace reckon
