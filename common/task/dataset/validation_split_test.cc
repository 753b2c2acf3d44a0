#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/task/dataset/dataset.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

TEST(ValidationSplitTest, HoldsOutByTheQuestionAlone) {
  std::string content, reversed;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = absl::StrCat("{\"question\":\"q", i % 900, "\",\"answer\":", i, "}\n");
    content += line;
    reversed = line + reversed;
  }
  const TempFolder folder;
  const std::string path = folder.path() + "/split.jsonl";
  DataSettings data;
  data.set_train(path);
  data.set_validation_fraction(0.2);
  auto questions = [&](Split split, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    std::vector<std::string> out;
    auto problems = LoadDataset(data, split);
    EXPECT_TRUE(problems.ok()) << problems.status();
    for (const Problem& problem : problems->problems) out.push_back(problem.question);
    std::sort(out.begin(), out.end());
    return out;
  };
  const auto train = questions(Split::kTrain, content), eval = questions(Split::kEval, content);
  EXPECT_EQ(train.size() + eval.size(), 1000u);
  EXPECT_NEAR(eval.size(), 200, 50);
  for (const std::string& question : eval) {
    EXPECT_FALSE(std::binary_search(train.begin(), train.end(), question)) << question;
  }
  EXPECT_EQ(questions(Split::kEval, reversed), eval);
  data.set_validation_seed(1);
  EXPECT_NE(questions(Split::kEval, content), eval);
}

}  // namespace
}  // namespace reckon
