#include "common/telemetry/health_server.h"

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::HasSubstr;

class HealthServerTest : public testing::Test {
 protected:
  HealthServerTest() {
    auto server = HealthServer::Start("127.0.0.1:0", &activity_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  // "SERVING", "NOT_SERVING", or the message of an error.
  std::string Check(const std::string& service) {
    grpc::ClientContext context;
    SetDeadline(&context);
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    const grpc::Status status = Health::NewStub(channel_)->Check(&context, request, &response);
    if (!status.ok()) return status.error_message();
    return HealthCheckResponse::ServingStatus_Name(response.status());
  }
  static void SetDeadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  }

  FakeClock clock_;
  Registry registry_;
  Activity activity_{"actor", {"work", "wait"}, &registry_, &clock_};
  std::unique_ptr<HealthServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(HealthServerTest, TellsStartupLivenessAndReadinessApart) {
  EXPECT_EQ(Check("startup"), "NOT_SERVING");
  EXPECT_EQ(Check("liveness"), "SERVING");
  EXPECT_EQ(Check("readiness"), "NOT_SERVING");
  EXPECT_EQ(Check(""), "NOT_SERVING");
  activity_.SetStarted();
  EXPECT_EQ(Check("startup"), "SERVING");
  EXPECT_EQ(Check(""), "NOT_SERVING");
  activity_.SetReady(true);
  EXPECT_EQ(Check("readiness"), "SERVING");
  EXPECT_EQ(Check(""), "SERVING");
  clock_.Advance(Activity::kStalledAfter);
  EXPECT_EQ(Check("liveness"), "NOT_SERVING");
  EXPECT_EQ(Check(""), "NOT_SERVING");
  EXPECT_EQ(Check("readiness"), "SERVING");
}

TEST_F(HealthServerTest, KnowsNoOtherServiceAndServesNothingElse) {
  EXPECT_EQ(Check("peers"), "no such service");
  grpc::ClientContext watch, status;
  SetDeadline(&watch);
  HealthCheckResponse response;
  auto stream = Health::NewStub(channel_)->Watch(&watch, HealthCheckRequest());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  SetDeadline(&status);
  GetStatusReply reply;
  EXPECT_EQ(Coordinator::NewStub(channel_)->GetStatus(&status, {}, &reply).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(HealthServerTest, RefusesARequestThatIsTooLarge) {
  EXPECT_THAT(Check(std::string(2000, 'x')), HasSubstr("larger than max"));
}

TEST_F(HealthServerTest, ATakenPortIsOneLine) {
  auto second = HealthServer::Start(server_->address(), &activity_);
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + server_->address() + "; is the port taken?");
  EXPECT_TRUE(absl::IsInvalidArgument(HealthServer::Start("7080", &activity_).status()));
}

}  // namespace
}  // namespace reckon
