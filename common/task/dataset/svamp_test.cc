#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/task/dataset/dataset.h"
#include "common/task/reward/exact_match.h"

namespace reckon {
namespace {

TEST(SvampTest, BothFilesAreReadWhole) {
  const char* root = std::getenv("RECKON_DATA");
  const std::string folder = std::string(root != nullptr ? root : "../shared/data") + "/svamp/";
  DataSettings data;
  data.set_train(folder + "mawps-asdiv-a_train.csv");
  data.set_eval(folder + "SVAMP.json");
  if (!std::filesystem::exists(data.train()) || !std::filesystem::exists(data.eval())) {
    GTEST_SKIP() << folder << " lacks a file (set RECKON_DATA)";
  }
  auto train = LoadDataset(data, Split::kTrain), eval = LoadDataset(data, Split::kEval);
  ASSERT_TRUE(train.ok()) << train.status();
  ASSERT_TRUE(eval.ok()) << eval.status();
  EXPECT_EQ(train->problems.size(),
            3128u);  // of 3,138: ten have another answer than their equation
  EXPECT_EQ(eval->problems.size(), 1000u);
  EXPECT_EQ(eval->problems[679].solution, "");  // chal-680
  RewardSpec strict;
  strict.set_kind(RewardSpec::EXACT_MATCH_STRICT);
  for (const auto& problems : {train->problems, eval->problems}) {
    for (const Problem& problem : problems) {
      EXPECT_EQ(problem.question.find(" ."), std::string::npos) << problem.question;
      EXPECT_EQ(problem.question.find(" ?"), std::string::npos) << problem.question;
      if (problem.solution.empty()) continue;
      EXPECT_EQ(ScoreAnswer(strict, problem.solution, false, problem.answer).verdict(), CORRECT)
          << problem.source << "\n"
          << problem.solution;
    }
  }
}

}  // namespace
}  // namespace reckon
