#include "common/net/channel.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(Channel, StatusCodesAndMessagesSurviveBothWays) {
  for (int code = 1; code <= 16; ++code) {
    absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(static_cast<int>(ToGrpc(status).error_code()), code);
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
}

TEST(Channel, ADeadlineIsSetFromNow) {
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(5));
  const auto left = context.deadline() - std::chrono::system_clock::now();
  EXPECT_GT(left, std::chrono::seconds(4));
  EXPECT_LT(left, std::chrono::seconds(6));
}

}  // namespace
}  // namespace reckon
