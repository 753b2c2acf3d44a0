#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/task/dataset/dataset.h"
#include "common/task/reward/exact_match.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

std::string Gsm8k(const char* file) {
  const char* data = std::getenv("RECKON_DATA");
  return std::string(data != nullptr ? data : "../shared/data") + "/gsm8k/" + file;
}

class Gsm8kTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* file : {"train.jsonl", "test.jsonl"}) {
      if (!std::filesystem::exists(Gsm8k(file))) {
        GTEST_SKIP() << Gsm8k(file) << " is missing (set RECKON_DATA)";
      }
    }
    data_.set_train(Gsm8k("train.jsonl"));
    data_.set_eval(Gsm8k("test.jsonl"));
  }

  DataSettings data_;
};

TEST_F(Gsm8kTest, EverySolutionIsRightByItsOwnAnswer) {
  RewardSpec strict, flexible;
  strict.set_kind(RewardSpec::EXACT_MATCH_STRICT);
  flexible.set_kind(RewardSpec::EXACT_MATCH_FLEXIBLE);
  for (Split split : {Split::kTrain, Split::kEval}) {
    auto problems = LoadDataset(data_, split);
    ASSERT_TRUE(problems.ok()) << problems.status();
    EXPECT_EQ(problems->problems.size(), split == Split::kTrain ? 7473u : 1319u);
    size_t with_marks = 0;
    for (const Problem& problem : problems->problems) {
      for (const RewardSpec& spec : {strict, flexible}) {
        const RewardValue value = ScoreAnswer(spec, problem.solution, false, problem.answer);
        EXPECT_EQ(value.verdict(), CORRECT) << problem.source << "\n" << problem.solution;
      }
      if (EquationKey(problem.solution).rfind("<<", 0) == 0) ++with_marks;
    }
    EXPECT_EQ(problems->problems.size() - with_marks, split == Split::kTrain ? 95u : 18u);
  }
}

}  // namespace
}  // namespace reckon
