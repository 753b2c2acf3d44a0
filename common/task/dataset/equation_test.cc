#include "common/task/dataset/equation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reckon {
namespace {

using ::testing::HasSubstr;

TEST(EquationTest, WorksInfixInSteps) {
  auto worked = WorkInfix("( ( 4.0 - 2.0 ) + 3.5 )");
  ASSERT_TRUE(worked.ok()) << worked.status();
  EXPECT_EQ(worked->value, 5.5);
  EXPECT_EQ(worked->steps, "4-2=<<4-2=2>>2\n2+3.5=<<2+3.5=5.5>>5.5\n");
  EXPECT_EQ(WorkInfix("2 + 3 * 4 - 6 / 2")->value, 11);
  EXPECT_EQ(WorkInfix("8.0")->value, 8);
  EXPECT_EQ(WorkInfix("8.0")->steps, "");
}

TEST(EquationTest, WorksPrefixInSteps) {
  auto worked = WorkPrefix("- 25000 * 1500 8");
  ASSERT_TRUE(worked.ok()) << worked.status();
  EXPECT_EQ(worked->value, 13000);
  EXPECT_EQ(worked->steps,
            "1500*8=<<1500*8=12000>>12000\n25000-12000=<<25000-12000=13000>>13000\n");
  EXPECT_EQ(WorkPrefix("- 1 2")->value, -1);
}

TEST(EquationTest, SaysWhatIsWrong) {
  const std::pair<std::string, const char*> infix[] = {
      {"", "ends too early"},
      {"1 +", "ends too early"},
      {"( 1 + 2", "expected )"},
      {"1 2", "unexpected \"2\""},
      {"1 / ( 2 - 2 )", "by zero"},
      {"nan", "not a number"},
      {"1e400", "not a number"},
      {"1e16 + 1", "not a number"},
      {"1e14 * 1e14", "1e15"},
      {std::string("a\0\x01", 3), "\"a??\""},
      {std::string(4000, '('), "not a number"},
  };
  for (const auto& [equation, what] : infix) {
    auto worked = WorkInfix(equation);
    ASSERT_FALSE(worked.ok()) << equation;
    EXPECT_THAT(worked.status().message(), HasSubstr(what)) << equation;
  }
  std::string nested, prefix;
  for (int i = 0; i < 100; ++i) nested += "( ", prefix += "+ ";
  EXPECT_THAT(WorkInfix(nested + "1").status().message(), HasSubstr("too deep"));
  EXPECT_THAT(WorkPrefix(prefix + "1").status().message(), HasSubstr("too deep"));
  for (int i = 0; i < 10; ++i) prefix += prefix;
  EXPECT_THAT(WorkPrefix(prefix).status().message(), HasSubstr("too long"));
}

TEST(EquationTest, WritesNumbersAsPeopleDo) {
  EXPECT_EQ(PlainNumber(51.0), "51");
  EXPECT_EQ(PlainNumber(-0.0), "0");
  EXPECT_EQ(PlainNumber(-2.5), "-2.5");
  EXPECT_EQ(PlainNumber(22090603.0), "22090603");
  EXPECT_EQ(PlainNumber(0.1 + 0.2), "0.3");
  EXPECT_EQ(PlainNumber(1.0 / 3), "0.3333333333");
}

}  // namespace
}  // namespace reckon
