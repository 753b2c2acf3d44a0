#include "common/base/printable.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(PrintableTest, ReplacesEveryByteThatIsNotPrintableAscii) {
  EXPECT_EQ(Printable("a b~"), "a b~");
  EXPECT_EQ(Printable(absl::string_view("\x1b[0m\n\0\x7f", 7)), "?[0m???");
  EXPECT_EQ(Printable("\xc3\xa4"), "??");
}

TEST(PrintableTest, MarksTextThatItCuts) {
  EXPECT_EQ(Printable("12345", 5), "12345");
  EXPECT_EQ(Printable("123456", 5), "12345...");
}

}  // namespace
}  // namespace reckon
