// Reads texts from stdin, each ended by a zero byte. For each writes four fields, each ended by a
// zero byte: the strict match, the flexible match, the number, the equation key, and the two
// matches widened to whole expressions; "+" and the text, or "-" for none.

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
    for (const auto& found : {reckon::FindStrict(text), reckon::FindFlexible(text)}) {
      Write(found.has_value() ? std::optional(found->text) : std::nullopt);
    }
  }
  return std::cout.flush() ? 0 : 1;
}
