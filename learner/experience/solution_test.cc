#include "learner/experience/solution.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using testing::ElementsAre;

constexpr uint32_t kLine = kTinyFirstByte + '\n';

StepTokens TinySteps() {
  const Weights weights = MakeTinyModel();
  return StepTokens(**Tokenizer::Create(weights.manifest.texts().tokenizer_json()));
}

TEST(SolutionTest, EveryPrefixIsPredictedFromThePromptToTheLastToken) {
  const Solution solution = {{5, 6, 7, kLine, 8, 9}, 2};
  const TrainingSequence all = PredictionSequence(solution, 1, nullptr);
  // Predictions are made at the row before a marked token: those of 6 (the prompt), 7, newline, 8
  // and 9.
  EXPECT_THAT(all.tokens, ElementsAre(5, 6, 7, kLine, 8, 9, 9));
  EXPECT_THAT(all.loss, ElementsAre(false, false, true, true, true, true, true));
  EXPECT_EQ(all.target, 1);
  const StepTokens steps = TinySteps();
  const TrainingSequence ends = PredictionSequence(solution, 0, &steps);
  EXPECT_THAT(ends.loss, ElementsAre(false, false, true, false, true, false, true));
}

TEST(SolutionTest, TheSolutionFollowsThePromptWithItsForcedTokens) {
  Rollout rollout;
  for (const auto& [kind, token] :
       {std::pair(TokenSpan::PROMPT, 5), std::pair(TokenSpan::PROMPT, 6),
        std::pair(TokenSpan::FORCED, 7), std::pair(TokenSpan::SAMPLED, 8)}) {
    TokenSpan* span = rollout.add_spans();
    span->set_kind(kind);
    span->add_tokens(token);
  }
  const Solution solution = SolutionOf(rollout);
  EXPECT_THAT(solution.tokens, ElementsAre(5, 6, 7, 8));
  EXPECT_EQ(solution.prompt, 2u);
}

TEST(SolutionTest, NothingPredictsAtAFirstToken) {
  EXPECT_THAT(PredictionSequence({{5, 6}, 0}, 1, nullptr).loss, ElementsAre(false, true, true));
}

TEST(SolutionTest, StepsEndAtNewlinesAndAtTheEnd) {
  const StepTokens steps = TinySteps();
  EXPECT_THAT(steps.EndsOf({5, 7, kLine, 8, kLine}, 1), ElementsAre(2, 4));
  EXPECT_THAT(steps.EndsOf({5, kLine, kLine, 8}, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(steps.EndsOf({5}, 1), ElementsAre());
}

}  // namespace
}  // namespace reckon
