#include "common/task/prompt/overlong.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(OverlongTest, AreFoundRefusedAndRemoved) {
  std::vector<Problem> problems;
  for (size_t length : {3, 9, 4, 7}) {
    problems.push_back({.question = std::string(length, 'x'),
                        .source = "d.jsonl:" + std::to_string(problems.size() + 1)});
  }
  const auto tokens = [](const Problem& problem) {
    return static_cast<int64_t>(problem.question.size()) + 2;
  };
  EXPECT_THAT(FindOverlong(problems, 11, tokens).indices, IsEmpty());  // exactly fits
  const OverlongProblems overlong = FindOverlong(problems, 6, tokens);
  EXPECT_THAT(overlong.indices, ElementsAre(1, 3));
  EXPECT_EQ(RefuseOverlong("data.eval", problems, overlong, "the model's 6 positions",
                           "prompt and 2", "lower it")
                .message(),
            "data.eval: 2 of 4 problems do not fit into the model's 6 positions with prompt and 2; "
            "lower it\n  d.jsonl:2: needs 11\n  d.jsonl:4: needs 9");
  EXPECT_EQ(RefuseOverlong("data.eval", problems, FindOverlong(problems, 10, tokens), "10", "it",
                           "lower it")
                .message(),
            "data.eval: 1 of 4 problems do not fit into 10 with it; lower it; d.jsonl:2: needs 11");
  EXPECT_TRUE(RefuseOverlong("data.eval", problems, {}, "", "", "").ok());
  RemoveProblems(overlong.indices, &problems);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].source, "d.jsonl:1");
  EXPECT_EQ(problems[1].source, "d.jsonl:3");
}

}  // namespace
}  // namespace reckon
