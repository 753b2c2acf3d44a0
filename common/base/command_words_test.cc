#include "common/base/command_words.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CommandWordsTest, SplitsAsAShellDoes) {
  EXPECT_THAT(*SplitCommand("python3 my_reward.py"), ElementsAre("python3", "my_reward.py"));
  EXPECT_THAT(*SplitCommand("  a\t b  "), ElementsAre("a", "b"));
  EXPECT_THAT(*SplitCommand("a 'b c' \"d 'e'\" f\\ g h''i ''"),
              ElementsAre("a", "b c", "d 'e'", "f g", "hi", ""));
  EXPECT_THAT(*SplitCommand(R"(a "b\"c\\d\n" '\n' '$HOME;')"),
              ElementsAre("a", R"(b"c\d\n)", R"(\n)", "$HOME;"));
}

TEST(CommandWordsTest, RefusesWhatOnlyAShellWouldDo) {
  for (const char* command : {"a $HOME", "a | b", "a > b", "a; b", "a `b`", "a \"$B\"", "a *.py",
                              "a & b", "a #b", "~/a", "a\nb"}) {
    const auto words = SplitCommand(command);
    ASSERT_FALSE(words.ok()) << command;
    EXPECT_THAT(std::string(words.status().message()), HasSubstr("only a shell")) << command;
  }
  for (const char* command : {"", "  ", "a 'b", "a \"b", "a\\"}) {
    EXPECT_FALSE(SplitCommand(command).ok()) << command;
  }
}

}  // namespace
}  // namespace reckon
