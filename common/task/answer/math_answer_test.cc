#include "common/task/answer/math_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace reckon {
namespace {

std::optional<bool> Same(const char* a, const char* b) {
  return SameAnswer(ReadMathAnswer(a), ReadMathAnswer(b));
}

TEST(MathAnswerTest, SpellingsOfOneAnswerAreEqual) {
  const std::vector<std::vector<const char*>> kEqual = {
      {"1/2", "\\frac12", "\\dfrac{1}{2}", "0.5", ".50", "\\frac{2}{4}", "$\\frac{1}{2}$", "2^{-1}",
       "\\left(\\frac12\\right)", "1 \\div 2", "\\text{1/2}"},
      {"1,000", "1{,}000", "1\\,000", "1000", "10^3", "1000.", "\\$1{,}000.00", "1 \\times 10^{3}"},
      {"25\\%", "25", "25\\text{ cm}^2", "25^\\circ", "25 apples", "5^2", "x = 25", "25 = x"},
      {"8", "08", "008"},
      {"\\frac{21}{2}", "010\\frac12", "010 1/2"},
      {"\\frac{17}{9}", "1 08/09", "01 08/09"},
      {"(1,8)", "(1,008)"},
      {"3\\frac{1}{2}", "3\\frac12", "3 1/2", "7/2", "3.5"},
      {"-\\frac{1}{3}", "\\frac{-1}{3}", "-1/3",
       "\xe2\x88\x92"
       "1/3",
       "-0.\\overline{3}"},
      {"\\sqrt{8}", "2\\sqrt2", "2\\sqrt{2}", "8^{1/2}", "\\frac{4}{\\sqrt 2}",
       "2\xe2\x88\x9a"
       "2"},
      {"\\sqrt2-1", "\\frac{1}{1+\\sqrt{2}}"},
      {"\\sqrt[3]{16}", "2\\sqrt[3]{2}", "2^{4/3}"},
      {"\\frac{4\\pi}{3}", "\\frac43\\pi", "4\\pi/3"},
      {"(x+1)^2", "x^2+2x+1", "1 + 2x + x^2", "(x+1)(x+1)", "y = x^2+2x+1"},
      {"3+4i", "4i + 3"},
      {"1, 2", "2,1", "\\{1,2\\}", "1 \\text{ and } 2", "1 or 2", "x = 1, x = 2"},
      {"\\pm 2", "-2, 2", "\\{2, -2\\}"},
      {"x > 3", "3 < x", "(3,\\infty)", "x \\in (3, \\infty)", "\\left(3, \\infty\\right)"},
      {"-1 \\le x < 2", "[-1,2)", "2 > x \\ge -1"},
      {"(-\\infty,0)\\cup(1,2]", "(1,2] \\cup (-\\infty, 0)"},
      {"(1,-2)", "\\left( 1 , -2 \\right)", "(1, -\\frac{4}{2})"},
      {"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{bmatrix}1\\\\2\\end{bmatrix}"},
      {"\\emptyset", "\\varnothing", "\\{\\}"},
      {"\\text{Even}", "even", " \\text{ even }.", "\\textbf{Even}"},
      {"\\text{no solution}", "No  solution."},
      {"\\text{(B)}", "B", "(B)", "\\textbf{(B)}"},
      {"10\\binom{5}{2}", "100", "5! - 20"},
  };
  for (const auto& spellings : kEqual) {
    for (const char* other : spellings) {
      EXPECT_EQ(Same(spellings[0], other), true)
          << spellings[0] << " is " << ReadMathAnswer(spellings[0]).form << ", " << other << " is "
          << ReadMathAnswer(other).form;
    }
  }
}

TEST(MathAnswerTest, OtherAnswersAreNot) {
  for (const auto& [a, b] : std::vector<std::pair<const char*, const char*>>{
           {"1/2", "0.49"},
           {"0.333", "1/3"},
           {"\\sqrt{2}", "1.41421356"},
           {"\\sqrt{2}+\\sqrt{3}", "\\sqrt{5}"},
           {"\\pi", "3.14159"},
           {"(1,2)", "(2,1)"},
           {"(1,2)", "[1,2)"},
           {"1,2", "1,2,3"},
           {"x+1", "x-1"},
           {"1000", "100"},
           {"\\text{odd}", "\\text{even}"},
           {"A", "B"},
           {"5", "(5, 6)"},
           {"010\\frac12", "17/2"},
       }) {
    EXPECT_EQ(Same(a, b), false) << a << " " << b;
  }
}

TEST(MathAnswerTest, WhatIsNotDecidedIsSaid) {
  for (const auto& [a, b] : std::vector<std::pair<const char*, const char*>>{
           {"\\sin x", "\\cos x"},
           {"1010_2", "10"},
           {"1/2x", "x/2"},
           {"\\frac{x+1}{x-1}", "2"},
           {"x^2+y^2=1", "x^2 + y^2 = 2"},
           {"\\text{five}", "5"},
           {"2^{2^{2^{100}}}", "1"},
           {"\\frac{1}{0}", "0"},
           {"10:30", "10.5"},
           {"1 2", "12"},
           {"", "0"},
       }) {
    EXPECT_EQ(Same(a, b), std::nullopt) << a << " " << b;
  }
  EXPECT_EQ(Same("\\sin  x", "\\sin x"), true) << "the same text is the same answer";
  EXPECT_EQ(Same("2x^2+2y^2=2", "x^2+y^2=1"), true);
}

}  // namespace
}  // namespace reckon
