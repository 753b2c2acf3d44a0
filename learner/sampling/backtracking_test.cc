#include "learner/sampling/backtracking.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

constexpr char kSolution[] = "2 + 3 = 5\n5 * 4 = 20\n20 - 1 = 19\n19 / 19 = 1\n#### 1";

class BacktrackingTest : public testing::Test {
 protected:
  BacktrackingTest() {
    settings_.mutable_backtracking()->set_steps(8);
    settings_.mutable_backtracking()->set_from(1);
  }
  Backtracking Make() { return {settings_, formatter_, *tokenizer_}; }
  std::string Given(const std::string& solution, int64_t step) {
    return tokenizer_->Decode(Make().Prefix(solution, step));
  }

  const Weights weights_ = MakeTinyModel();
  const std::unique_ptr<Tokenizer> tokenizer_ =
      *Tokenizer::Create(weights_.manifest.texts().tokenizer_json());
  const PromptFormatter formatter_ = *PromptFormatter::Create(DataSettings::PLAIN, tokenizer_.get(),
                                                              nullptr, {}, {{kTinyEnd}, kTinyEnd});
  PpoSettings settings_;
};

TEST_F(BacktrackingTest, TheShareFallsInAStraightLineToNothing) {
  settings_.mutable_backtracking()->set_from(0.5);
  const Backtracking backtracking = Make();
  EXPECT_DOUBLE_EQ(backtracking.ShareAt(0), 0.5);
  EXPECT_DOUBLE_EQ(backtracking.ShareAt(2), 0.375);
  EXPECT_DOUBLE_EQ(backtracking.ShareAt(7), 0.0625);
  EXPECT_EQ(backtracking.ShareAt(8), 0);
  EXPECT_EQ(backtracking.ShareAt(1000), 0);
}

TEST_F(BacktrackingTest, FewerAndFewerWholeStepsAreGivenAndNeverTheLast) {
  const std::string all = Given(kSolution, 0);
  EXPECT_EQ(all, " 2 + 3 = 5\n5 * 4 = 20\n20 - 1 = 19\n");
  EXPECT_EQ(Given(kSolution, 2), all);                         // 0.75 of four steps
  EXPECT_EQ(Given(kSolution, 3), " 2 + 3 = 5\n5 * 4 = 20\n");  // 0.625, rounded down
  EXPECT_EQ(Given(kSolution, 6), " 2 + 3 = 5\n");
  EXPECT_EQ(Given(kSolution, 7), "");
  EXPECT_EQ(Given(kSolution, 8), "");
  EXPECT_EQ(Given(std::string(kSolution) + "\n", 0), all) << "a newline after the answer";
}

TEST_F(BacktrackingTest, WhatIsGivenBeginsThePerfectSampleTokenByToken) {
  const std::vector<uint32_t> whole = formatter_.Completion(kSolution);
  const std::vector<uint32_t> prefix = Make().Prefix(kSolution, 0);
  ASSERT_LT(prefix.size(), whole.size());
  EXPECT_TRUE(std::equal(prefix.begin(), prefix.end(), whole.begin()));
}

TEST_F(BacktrackingTest, NothingIsGivenOfASolutionOfOneStepOrNone) {
  EXPECT_EQ(Given("2 + 3 = 5\n#### 5", 0), "");
  EXPECT_EQ(Given("#### 5", 0), "");
  EXPECT_EQ(Given("", 0), "");
}

TEST_F(BacktrackingTest, AProblemWithoutStepsOrThatDoesNotFitIsRefusedByName) {
  settings_.mutable_sampling()->set_max_new_tokens(5);
  Problem problem = {.question = "What is left?", .answer = "1", .solution = kSolution};
  problem.source = "a.jsonl:3";
  const auto given =
      static_cast<int64_t>(formatter_.Prompt(problem).size() + Make().Prefix(kSolution, 0).size());
  EXPECT_TRUE(Make().Check({problem}, given + 5).ok());
  EXPECT_THAT(std::string(Make().Check({problem}, given + 4).message()),
              testing::StartsWith(absl::StrCat("a.jsonl:3: ", given, " tokens of prompt")));
  problem.solution = "#### 1";
  EXPECT_THAT(std::string(Make().Check({problem}, given + 5).message()),
              testing::StartsWith("a.jsonl:3: no worked steps"));
}

}  // namespace
}  // namespace reckon
