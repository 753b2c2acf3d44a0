#include "common/telemetry/figures.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(FiguresTest, SecondsBytesAndCounts) {
  EXPECT_EQ(FormatSeconds(3723), "1:02:03");
  EXPECT_EQ(FormatSeconds(-1), "?");
  EXPECT_EQ(FormatBytes(900), "900 B");
  EXPECT_EQ(FormatBytes(1.5 * (1 << 30)), "1.5 GiB");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
  EXPECT_EQ(FormatCount(123), "123");
}

}  // namespace
}  // namespace reckon
