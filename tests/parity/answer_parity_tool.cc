// Reads texts from stdin, each ended by a zero byte. For each writes four fields, each ended by a
// zero byte: the strict answer, the flexible answer, the number and the equation key; "+" and the
// text, or
// "-" for none.

#include <iostream>
#include <iterator>
#include <optional>
#include <string>

#include "common/task/reward/exact_match.h"
#include "common/task/reward/number.h"
#include "common/task/reward/solution_steps.h"

namespace {

void Write(const std::optional<std::string>& text) {
  std::cout << (text.has_value() ? "+" + *text : std::string("-")) << '\0';
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::string text;
  while (std::getline(std::cin, text, '\0')) {
    Write(reckon::ExtractStrict(text));
    Write(reckon::ExtractFlexible(text));
    Write(reckon::CanonicalNumber(text));
    Write(reckon::EquationKey(text));
  }
  return std::cout.flush() ? 0 : 1;
}
