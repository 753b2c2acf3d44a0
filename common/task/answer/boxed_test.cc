#include "common/task/answer/boxed.h"

#include <optional>

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(FindBoxedTest, TheLastBoxWithBalancedBraces) {
  const struct {
    const char* text;
    std::optional<absl::string_view> holds;
  } kCases[] = {
      {"so \\boxed{5}.", "5"},
      {"\\boxed{4} no, \\boxed{ \\frac{1}{2} }", "\\frac{1}{2}"},
      {"\\boxed{\\{1,2\\}}", "\\{1,2\\}"},
      {"$\\fbox{7}$", "7"},
      {"\\boxed{\\boxed{8}}", "8"},
      {"$\\boxed 9$", "9"},
      {"\\boxed{}", ""},
      {"\\boxed{4} and \\boxed{\\frac{1}{2", std::nullopt},  // cut
      {"\\boxed 9", std::nullopt},                           // perhaps cut
      {"\\boxedness {5}", std::nullopt},
      {"\\boxed", std::nullopt},
      {"#### 5", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& c : kCases) EXPECT_EQ(FindBoxed(c.text), c.holds) << c.text;
}

}  // namespace
}  // namespace reckon
