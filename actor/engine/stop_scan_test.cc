#include "actor/engine/stop_scan.h"

#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

google::protobuf::RepeatedPtrField<std::string> Stops(const std::vector<std::string>& stops) {
  return {stops.begin(), stops.end()};
}

TEST(StopScanTest, FindsAStopStringThatSpansTokens) {
  StopScan scan;
  const auto stops = Stops({"\n\nQ:"});
  EXPECT_FALSE(scan.Append("18\n", stops));
  EXPECT_FALSE(scan.Append("\n", stops));
  EXPECT_TRUE(scan.Append("Q: How", stops));
  EXPECT_EQ(scan.text(), "18");
}

TEST(StopScanTest, CutsAtTheStopStringThatBeginsFirst) {
  StopScan scan;
  EXPECT_TRUE(scan.Append("abcdef", Stops({"ef", "cde", "d"})));
  EXPECT_EQ(scan.text(), "ab");
}

TEST(StopScanTest, IgnoresEmptyStopStringsAndNearMisses) {
  StopScan scan;
  const auto stops = Stops({"", "aab"});
  EXPECT_FALSE(scan.Append("", stops));
  EXPECT_FALSE(scan.Append("a", stops));
  EXPECT_FALSE(scan.Append("a", stops));
  EXPECT_FALSE(scan.Append("a", stops));
  EXPECT_TRUE(scan.Append("b", stops));
  EXPECT_EQ(scan.text(), "a");
}

}  // namespace
}  // namespace reckon
