// Reads pairs of answers from stdin, each text ended by a zero byte. For each pair writes a line:
// "same", "different" or "undecided".

#include <iostream>
#include <optional>
#include <string>

#include "common/task/answer/math_answer.h"

int main() {
  std::ios::sync_with_stdio(false);
  std::string a, b;
  while (std::getline(std::cin, a, '\0') && std::getline(std::cin, b, '\0')) {
    const auto same = reckon::SameAnswer(reckon::ReadMathAnswer(a), reckon::ReadMathAnswer(b));
    std::cout << (!same.has_value() ? "undecided" : *same ? "same" : "different") << '\n';
  }
  return std::cout.flush() ? 0 : 1;
}
