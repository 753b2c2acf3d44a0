#include "learner/algorithm/rcrl/labels.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using testing::ElementsAre;

constexpr uint32_t kNewline = kTinyFirstByte + '\n', kGood = 300, kBad = 301;

StepTokens Steps() {
  const Weights weights = MakeTinyModel();
  return StepTokens(**Tokenizer::Create(weights.manifest.texts().tokenizer_json()));
}

TEST(LabelsTest, ALabelIsInsertedBeforeEachStepAndIsNotLearned) {
  // The prompt's first line is no step of the solution.
  const TrainingSequence plain =
      MakeSequence({1, kNewline, 2, kNewline}, {10, kNewline, 11, 12, kNewline, 13});
  const LabelledSequence out =
      InsertLabels(plain, 4, {true, false}, Steps(), {.good = kGood, .bad = kBad});
  EXPECT_THAT(out.sequence.tokens, ElementsAre(1, kNewline, 2, kNewline, kGood, 10, kNewline, kBad,
                                               11, 12, kNewline, kBad, 13));
  EXPECT_THAT(out.sequence.loss, ElementsAre(false, false, false, false, false, true, true, false,
                                             true, true, true, false, true));
  EXPECT_EQ(out.good, 1);
  EXPECT_EQ(out.bad, 2);
}

TEST(LabelsTest, AStepIsGoodByItsProbabilityOrItsRise) {
  const std::vector<float> probabilities = {0.5f, 0.1f, 0.6f, 0.2f, 0.55f};
  const std::vector<size_t> ends = {2, 4};
  RcrlSettings settings;
  EXPECT_THAT(LabelSteps(settings, ends, probabilities), ElementsAre(true, true));
  settings.set_threshold(0.5);
  EXPECT_THAT(LabelSteps(settings, {0, 2}, probabilities), ElementsAre(true, true)) << "a tie";
  settings.set_threshold(0.58);
  EXPECT_THAT(LabelSteps(settings, ends, probabilities), ElementsAre(true, false));
  settings.set_label_by(RcrlSettings::RISE);
  settings.set_threshold(0);
  EXPECT_THAT(LabelSteps(settings, ends, probabilities), ElementsAre(true, false));
}

TEST(LabelsTest, ASampleThatChangesNoShareIsNotLeftOut) {
  std::vector<LabelledSequence> samples(6);  // two good, two bad, and two without a step
  samples[0].good = samples[1].good = samples[2].bad = samples[3].bad = 1;
  BalanceLabels(1, 7, &samples);
  EXPECT_EQ(samples.size(), 4u);
}

TEST(LabelsTest, SamplesAreLeftOutUntilTheShareOfGoodStepsIsReached) {
  auto samples = [] {
    std::vector<LabelledSequence> out(100);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i].sequence.tokens = {static_cast<uint32_t>(i)};
      (i < 80 ? out[i].good : out[i].bad) = 1;
    }
    return out;
  };
  for (const auto& [ratio, kept] :
       {std::pair(0.0, 100u), std::pair(0.5, 40u), std::pair(0.8, 100u), std::pair(1.0, 80u)}) {
    std::vector<LabelledSequence> balanced = samples();
    BalanceLabels(ratio, 7, &balanced);
    EXPECT_EQ(balanced.size(), kept) << ratio;
    // Of the good ones not always the same are left out: the first.
    EXPECT_LT(balanced.front().sequence.tokens[0], 40u) << ratio;
    std::vector<LabelledSequence> again = samples();
    BalanceLabels(ratio, 7, &again);
    ASSERT_EQ(again.size(), balanced.size());
    for (size_t i = 0; i < again.size(); ++i) {
      EXPECT_EQ(again[i].sequence, balanced[i].sequence);
      if (i > 0) {
        EXPECT_LT(again[i - 1].sequence.tokens[0], again[i].sequence.tokens[0]);
      }
    }
  }
}

}  // namespace
}  // namespace reckon
