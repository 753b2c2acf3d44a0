#include "common/net/channel.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "absl/strings/str_cat.h"
#include "common/testing/await.h"
#include "proto/coordinator.grpc.pb.h"

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

// A server without methods: its UNIMPLEMENTED shows that a call got through.
TEST(Channel, NoChannelLeadsThroughAProxy) {
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    ::setenv(name, "http://127.0.0.1:9", 1);
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  Coordinator::Service nothing;
  builder.RegisterService(&nothing);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub =
      Coordinator::NewStub(*MakeChannel(absl::StrCat("127.0.0.1:", port), Security::PlainText()));
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  GetStatusReply reply;
  EXPECT_EQ(stub->GetStatus(&context, {}, &reply).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  server->Shutdown();
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) ::unsetenv(name);
}

TEST(Channel, PlainReasonsLeaveOutWhatGrpcTellsOfItself) {
  EXPECT_EQ(PlainReason(absl::UnavailableError("failed to connect to all addresses; last error: "
                                               "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to "
                                               "remote host: Connection refused")),
            "connection refused");
  EXPECT_EQ(PlainReason(absl::DeadlineExceededError("Deadline Exceeded")), "no answer");
  EXPECT_EQ(PlainReason(absl::NotFoundError("no such version")), "no such version");
}

TEST(Channel, ADeadlineIsSetFromNow) {
  grpc::ClientContext context;
  const auto before = std::chrono::system_clock::now();
  SetDeadline(&context, absl::Seconds(5));
  // gRPC rounds.
  EXPECT_GT(context.deadline(), before + std::chrono::milliseconds(4900));
  EXPECT_LT(context.deadline(), std::chrono::system_clock::now() + std::chrono::milliseconds(5100));
}

}  // namespace
}  // namespace reckon
