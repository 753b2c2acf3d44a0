#include "cli/launcher/shell.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ShellTest, WhatIsQuotedReachesTheProgramAsItIs) {
  for (const char* text : {"plain-1.0_x:/,@%+=", "", " two words ", "it's", "$HOME", "`id`", "a\nb",
                           "a;b", "*", "!x", "\\", "\"q\"", "-n", "é"}) {
    const absl::StatusOr<std::string> printed =
        RunTool({"sh", "-c", absl::StrCat("printf %s ", ShellQuoted(text))});
    ASSERT_TRUE(printed.ok()) << printed.status();
    EXPECT_EQ(*printed, text);
  }
  EXPECT_EQ(ShellQuoted("recipes/a.textproto"), "recipes/a.textproto");
}

TEST(ShellTest, AToolThatFailsIsAnErrorWithItsWords) {
  const absl::Status failed =
      RunTool({"sh", "-c", "echo output; echo 'no such partition: x' >&2; exit 3"}).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(failed.message(), "sh exited with code 3: no such partition: x");
  const absl::Status missing = RunTool({"no-such-program-anywhere"}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("no-such-program-anywhere"));
}

}  // namespace
}  // namespace reckon
