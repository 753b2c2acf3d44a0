#include <string>

#include "common/task/answer/math_answer.h"
#include "common/testing/cpu_time.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

std::string Copies(int n, const std::string& piece) {
  std::string out;
  for (int i = 0; i < n; ++i) out += piece;
  return out;
}

TEST(MathAnswerHostileTest, TheWorkIsBounded) {
  std::vector<std::string> answers;
  // As many copies of a piece as an answer may have, and far more.
  for (const char* piece : {"(",
                            "{",
                            "\\{",
                            "[",
                            "|",
                            "-",
                            "+",
                            "9",
                            "9^",
                            "9!",
                            "!",
                            "\\frac",
                            "\\sqrt",
                            "\\sqrt{",
                            "\\frac{1}{",
                            "\\pm",
                            ",",
                            "=",
                            "<",
                            "\\cup",
                            "\\text{",
                            "\\text{a}",
                            "x",
                            "(x+1)",
                            "_",
                            ".",
                            "\\begin{pmatrix}",
                            "\\\\",
                            "\\",
                            "\xff",
                            "\xe2\x88\x9a",
                            "e",
                            "1,",
                            "\\overline{1}"}) {
    for (int bytes : {990, 1000000}) {
      answers.push_back(Copies(bytes / std::char_traits<char>::length(piece), piece));
    }
  }
  // Sums and powers that grow.
  answers.push_back(Copies(50, "(a+b+c+d+e+f+g)"));
  answers.push_back(Copies(100, "(a+1)^9"));
  answers.push_back("9" + Copies(100, "^{99}"));
  answers.push_back("(1+\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13})^{32}");
  answers.push_back(
      "\\frac{1}{1+\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13}+\\sqrt{17}}");
  answers.push_back(Copies(60, "\\sqrt{99999989}+"));
  answers.push_back(Copies(40, "\\binom{500}{250}"));
  answers.push_back(Copies(100, "170!*"));
  answers.push_back(Copies(60, "9^{600}+"));
  answers.push_back("0." + Copies(900, "9"));
  answers.push_back(Copies(300, "(") + "1" + Copies(300, ")"));
  answers.push_back(Copies(300, "\\{") + "1" + Copies(300, "\\}"));
  for (const std::string& answer : answers) {
    const absl::Duration begin = ThreadCpuTime();
    const MathAnswer read = ReadMathAnswer(answer);
    EXPECT_LT(ThreadCpuTime() - begin, absl::Milliseconds(400)) << answer.substr(0, 60);
    EXPECT_LE(read.form.size(), std::max<size_t>(answer.size(), 200000)) << answer.substr(0, 60);
  }
}

}  // namespace
}  // namespace reckon
