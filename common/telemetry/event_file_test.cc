#include "common/telemetry/event_file.h"

#include <cstring>

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(Crc32c, MatchesPublishedVectors) {
  // RFC 3720, appendix B.4, and the usual check value.
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(TfRecord, BeginsAsTensorFlowsOwnFilesDo) {
  std::string record = TfRecord(VersionEvent(1.5));
  // The first 13 bytes of every event file TensorFlow writes: length 24, its masked CRC, wall_time.
  EXPECT_EQ(record.substr(0, 13), std::string("\x18\0\0\0\0\0\0\0\xa3\x7fK\"\x09", 13));
  EXPECT_EQ(record.size(), 12u + 24 + 4);
  double wall_time;
  std::memcpy(&wall_time, record.data() + 13, 8);
  EXPECT_EQ(wall_time, 1.5);
  EXPECT_EQ(record.substr(21, 15),
            "\x1a\x0d"
            "brain.Event:2");
}

TEST(ScalarsEvent, IsTheKnownBytes) {
  // protoc --encode of wall_time: 1.5 step: 300 summary { value { tag: "a" simple_value: 1 } }, by
  // hand.
  const std::string expected = std::string("\x09\0\0\0\0\0\0\xf8\x3f", 9) + "\x10\xac\x02" +
                               std::string(
                                   "\x2a\x0a\x0a\x08\x0a\x01"
                                   "a\x15\0\0\x80\x3f",
                                   12);
  EXPECT_EQ(ScalarsEvent(1.5, 300, {{"a", 1.0}}), expected);
}

TEST(ScalarsEvent, WritesZerosToo) {
  EXPECT_EQ(ScalarsEvent(1.5, 0, {{"a", 0.0}}).substr(9), std::string("\x2a\x0a\x0a\x08\x0a\x01"
                                                                      "a\x15\0\0\0\0",
                                                                      12));
}

TEST(RestartEvent, CarriesTheStep) {
  EXPECT_EQ(RestartEvent(1.5, 5).substr(9), "\x10\x05\x3a\x02\x08\x01");
}

}  // namespace
}  // namespace reckon
