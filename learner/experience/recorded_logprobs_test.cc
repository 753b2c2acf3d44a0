#include "learner/experience/recorded_logprobs.h"

#include <cmath>
#include <set>

#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr uint64_t kVersion = 7;

Experience Sampled(uint64_t version = kVersion) {
  Experience out;
  out.version = version;
  out.behaviour_logprobs = {-1, -2};
  return out;
}

RecordedLogProbs Plan(std::vector<Experience>* step, uint64_t key = 1, double temperature = 1,
                      Backend backend = Backend::kCpuKernels,
                      ActorSettings::Weights weights = ActorSettings::DRAIN) {
  return RecordedLogProbs(backend, temperature, weights, kVersion, key, step);
}

// As a scoring pass that agrees with the actors does.
void ScoreAsRecorded(const RecordedLogProbs& plan) {
  for (Experience* sample : plan.scored()) sample->old_logprobs = sample->behaviour_logprobs;
}

TEST(RecordedLogProbsTest, OneOfThirtyTwoIsCheckedAndTheOthersStandAsRecorded) {
  std::vector<Experience> step(64, Sampled());
  const RecordedLogProbs plan = Plan(&step);
  EXPECT_EQ(plan.scored().size(), 2u);
  EXPECT_EQ(plan.recorded().size(), 62u);
  ScoreAsRecorded(plan);
  ASSERT_TRUE(plan.Agree());
  plan.Adopt();
  int recorded = 0;
  for (const Experience& sample : step) {
    EXPECT_EQ(sample.old_logprobs, sample.behaviour_logprobs);
    recorded += sample.recorded;
  }
  EXPECT_EQ(recorded, 62);
}

TEST(RecordedLogProbsTest, OneBitOfACheckedSampleIsADisagreement) {
  std::vector<Experience> step(5, Sampled());
  const RecordedLogProbs plan = Plan(&step);
  ScoreAsRecorded(plan);
  ASSERT_EQ(plan.scored().size(), 1u);
  plan.scored()[0]->old_logprobs[1] = std::nextafter(-2.0f, 0.0f);
  EXPECT_FALSE(plan.Agree());
}

TEST(RecordedLogProbsTest, AStaleSampleAndAnEndThatNoActorDrewNeedAPass) {
  std::vector<Experience> step(40, Sampled());
  step[3] = Sampled(kVersion - 1);
  step[4].end_in_place = true;
  step[5].behaviour_logprobs.clear();
  const RecordedLogProbs plan = Plan(&step);
  EXPECT_EQ(plan.scored().size(), 3u + 2u);
  const std::set<Experience*> scored(plan.scored().begin(), plan.scored().end());
  for (size_t i : {3, 4, 5}) EXPECT_TRUE(scored.contains(&step[i])) << i;
  ScoreAsRecorded(plan);
  // What need not agree is not compared.
  step[3].old_logprobs[0] = -5;
  EXPECT_TRUE(plan.Agree());
}

TEST(RecordedLogProbsTest, OtherBackendsGreedyDrawsAndVersionsThatChangeInFlightNeedAPass) {
  std::vector<Experience> step(8, Sampled());
  const auto backend = Backend::kCpuKernels;
  EXPECT_EQ(Plan(&step, 1, 1, backend, ActorSettings::IN_FLIGHT).scored().size(), 8u);
  EXPECT_EQ(Plan(&step, 1, /*temperature=*/0).scored().size(), 8u);
  EXPECT_EQ(Plan(&step, 1, 1, Backend::kTorchCpu).scored().size(), 8u);
}

TEST(RecordedLogProbsTest, TheKeyDecidesWhatIsChecked) {
  std::vector<Experience> step(32, Sampled());
  std::set<Experience*> checked;
  for (uint64_t key = 0; key < 20; ++key) {
    const RecordedLogProbs plan = Plan(&step, key);
    ASSERT_EQ(plan.scored().size(), 1u);
    EXPECT_EQ(Plan(&step, key).scored(), plan.scored());
    checked.insert(plan.scored()[0]);
  }
  EXPECT_GT(checked.size(), 5u);
}

}  // namespace
}  // namespace reckon
