#include "common/base/host_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reckon {
namespace {

using ::testing::HasSubstr;

TEST(HostPort, NamesAndBothKindsOfAddresses) {
  for (const char* text : {"127.0.0.1:0", "node-7.cluster:65535", "[::1]:4000", "[fe80::1]:80"}) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->ToString(), text);
  }
  EXPECT_EQ(ParseHostPort("[::1]:4000")->host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:4000")->port, 4000);
  EXPECT_TRUE(ParseHostPort("[::]:0")->is_wildcard());
  EXPECT_TRUE(ParseHostPort("0.0.0.0:0")->is_wildcard());
  EXPECT_FALSE(ParseHostPort("127.0.0.1:0")->is_wildcard());
}

TEST(HostPort, OneLineSaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1:80000", "its port is '80000', not a number from 0 to 65535"},
      {"127.0.0.1:-1", "its port is '-1'"},
      {"127.0.0.1:+1", "its port is '+1'"},
      {"127.0.0.1: 1", "its port is ' 1'"},
      {"127.0.0.1:99999999999999999999", "its port is"},
      {"127.0.0.1:", "its port is ''"},
      {"here", "it has no port"},
      {"", "it has no port"},
      {":4000", "it has no host"},
      {"[]:4000", "it has no host"},
      {"[::1]", "it has no port after the bracket"},
      {"::1:4000", "an IPv6 address must be in brackets"},
      {"http://h:1", "must be in brackets"},
      {"a b:1", "a character that no host has"},
      {"unix/x:1", "a character that no host has"},
  };
  for (const auto& [text, why] : cases) {
    const absl::Status status = ParseHostPort(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
  }
}

TEST(HostPort, AnAnnouncedAddressCanBeReached) {
  const HostPort all4 = {"0.0.0.0", 7071}, all6 = {"::", 7071}, one = {"10.0.0.1", 7071};
  EXPECT_EQ(AnnouncedAddress(one, "")->ToString(), "10.0.0.1:7071");
  EXPECT_EQ(AnnouncedAddress(all4, "")->host, MachineName());
  EXPECT_EQ(AnnouncedAddress(all6, "")->host, MachineName());
  EXPECT_EQ(AnnouncedAddress(all4, "node-7.cluster")->ToString(), "node-7.cluster:7071");
  EXPECT_EQ(AnnouncedAddress(all6, "fd00::7")->ToString(), "[fd00::7]:7071");
  EXPECT_EQ(AnnouncedAddress(all6, "[fd00::7]")->ToString(), "[fd00::7]:7071");
  for (const char* bad : {"0.0.0.0", "::", "[::]", "node-7:7071", "a b", "[]"}) {
    const absl::Status status = AnnouncedAddress(all4, bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad));
  }
}

}  // namespace
}  // namespace reckon
