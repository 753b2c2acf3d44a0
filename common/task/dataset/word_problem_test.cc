#include "common/task/dataset/word_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reckon {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Svamp() {
  return {{"ID", "a"},
          {"Body", "A pen costs $ 6. If there is a discount of 2 dollars"},
          {"Question", "How much is a pen?"},
          {"Equation", "( 6.0 - 2.0 )"},
          {"Answer", 4.0},
          {"Type", "Subtraction"}};
}

json Mawps() {
  return {{"Question",
           "mrs. hilt had number0 bags , each with number1 % of number0 's $ number10 . how many "
           "didn number1 n't she have ?"},
          {"Numbers", "56.0 2.5 1 2 3 4 5 6 7 8 1000.0"},
          {"Equation", "* number0 number1"},
          {"Answer", "140.0"},
          {"group_nums", "[]"}};
}

TEST(WordProblemTest, ReadsSvamp) {
  ASSERT_TRUE(IsSvamp(Svamp()));
  auto problem = ReadSvamp(Svamp());
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->question,
            "A pen costs $6. If there is a discount of 2 dollars, how much is a pen?");
  EXPECT_EQ(problem->answer, "4");
  EXPECT_EQ(problem->solution, "6-2=<<6-2=4>>4\n#### 4");
}

TEST(WordProblemTest, FillsPlaceholdersAndRepairsSpacing) {
  ASSERT_TRUE(IsMawps(Mawps()));
  EXPECT_FALSE(IsSvamp(Mawps()));
  auto problem = ReadMawps(Mawps());
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->question,
            "Mrs. Hilt had 56 bags, each with 2.5% of 56's $1000. How many didn 2.5n't she have?");
  EXPECT_EQ(problem->answer, "140");
  EXPECT_EQ(problem->solution, "56*2.5=<<56*2.5=140>>140\n#### 140");
}

TEST(WordProblemTest, LeavesTheSolutionOutWhereTheEquationContradictsTheAnswer) {
  json record = Svamp();
  record["Answer"] = 5;
  EXPECT_EQ(ReadSvamp(record)->solution, "");
  EXPECT_EQ(ReadSvamp(record)->answer, "5");
  record["Equation"] = "100 * 76.7 / 110.6";  // 69.349
  record["Answer"] = 69.3;
  EXPECT_THAT(ReadSvamp(record)->solution, HasSubstr("#### 69.3"));
  record["Answer"] = 69.4;
  EXPECT_EQ(ReadSvamp(record)->solution, "");
}

TEST(WordProblemTest, JoinsBodyAndQuestionAsSentences) {
  EXPECT_EQ(JoinBody(" He had 4. ", "How many?"), "He had 4. How many?");
  EXPECT_EQ(JoinBody("He had 4", "How many?"), "He had 4. How many?");
  EXPECT_EQ(JoinBody("He had 4. If he ate 2", "How many?"), "He had 4. If he ate 2, how many?");
  EXPECT_EQ(JoinBody("If he ate 2", "Tom has?"), "If he ate 2, Tom has?");
  EXPECT_EQ(JoinBody("He had 4 ,", "how many?"), "He had 4 , how many?");
  EXPECT_EQ(JoinBody("", "How many?"), "How many?");
}

TEST(WordProblemTest, NamesTheFieldThatIsWrong) {
  const std::tuple<const char*, json, const char*> svamp[] = {
      {"Answer", "four", "\"Answer\""},  {"Answer", json::array(), "\"Answer\""},
      {"Answer", "1e999", "\"Answer\""}, {"Body", 3, "\"Body\""},
      {"Equation", 3, "\"Equation\""},   {"Equation", "( 1 / 0 )", "division by zero"},
      {"Equation", "( 1", "expected )"},
  };
  for (const auto& [field, value, error] : svamp) {
    json record = Svamp();
    record[field] = value;
    EXPECT_THAT(ReadSvamp(record).status().message(), HasSubstr(error)) << field << value;
  }
  const std::tuple<const char*, json, const char*> mawps[] = {
      {"Numbers", "1 x", "\"Numbers\""},
      {"Numbers", "1", "\"Question\": number1 but field \"Numbers\" has 1"},
      {"Equation", "* number0 number99", "\"Equation\": number99"},
      {"Equation", "number0 number1", "unexpected \"2.5\""},
  };
  for (const auto& [field, value, error] : mawps) {
    json record = Mawps();
    record[field] = value;
    EXPECT_THAT(ReadMawps(record).status().message(), HasSubstr(error)) << field << value;
  }
}

}  // namespace
}  // namespace reckon
